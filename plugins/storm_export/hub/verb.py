"""The verb `push`. What it imports while plugins are read is little; the rest follows."""

from __future__ import annotations

from pathlib import Path


def push(arguments: list[str]) -> int:
    """Send a hub folder to the hub: push STAGE, KEY or FOLDER OWNER/NAME [--dry-run] [--help]"""
    from storm_export.hub.upload import MAIN, Upload, listing
    from storm_inference.targets.target import STORE, find_target
    from storm_inference.targets.words import Words

    parser = Words("push", "Send what exporter=hub_folder made to a repository of the hub.")
    add = parser.add_argument
    add("model", help="a stage of the latest run, the first digits of a key, or a folder")
    add("repository", metavar="OWNER/NAME", help="it is made where there is none")
    add("--private", action="store_true", help="for nobody but its owner to see")
    add("--revision", default=MAIN, metavar="BRANCH", help=f"the branch; {MAIN}")
    add("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    add("--store", metavar="DIR", default=str(STORE), help=f"where keys are found; {STORE}")
    said = parser.read(arguments)
    if said is None:
        return 0
    target = find_target(said.model, Path(said.store))
    upload = Upload(
        target=target, repository=said.repository, revision=said.revision, private=said.private
    )
    kind = "private" if said.private else "a new repository is public"
    print(f"{target.place} → {said.repository} ({said.revision}; {kind}):")
    print("\n".join(listing(upload.files())), flush=True)
    if said.dry_run:
        print("nothing was sent (--dry-run)")
        return 0
    print(upload.send())
    return 0

"""The verb `push`, which imports what it needs only when it is called."""

from __future__ import annotations

from pathlib import Path


def push(arguments: list[str]) -> int:
    """Send a hub folder to the hub: push STAGE, KEY or FOLDER OWNER/NAME [--dry-run] [--help]"""
    from storm_export.hub.upload import MAIN, Upload, listing
    from storm_inference.targets.target import STORE, find_target
    from storm_inference.targets.words import Words

    parser = Words("push", "Send a folder made by exporter=hub_folder to a repository of the hub.")
    add = parser.add_argument
    add("model", help="a stage of the latest run, the first digits of a key, or a folder")
    add("repository", metavar="OWNER/NAME", help="created if it does not exist")
    add("--private", action="store_true", help="visible to its owner only")
    add("--revision", default=MAIN, metavar="BRANCH", help=f"the branch; default: {MAIN}")
    add("--dry-run", action="store_true", help="list what would be sent, and send nothing")
    add("--store", metavar="DIR", default=str(STORE), help=f"store of keys; default: {STORE}")
    options = parser.read(arguments)
    if options is None:
        return 0
    target = find_target(options.model, Path(options.store))
    upload = Upload(
        target=target,
        repository=options.repository,
        revision=options.revision,
        private=options.private,
    )
    kind = "private" if options.private else "a new repository is public"
    print(f"{target.place} → {options.repository} ({options.revision}; {kind}):")
    print("\n".join(listing(upload.files())), flush=True)
    if options.dry_run:
        print("nothing was sent (--dry-run)")
        return 0
    print(upload.send())
    return 0

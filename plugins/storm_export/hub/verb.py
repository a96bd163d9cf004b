"""The verb `push`. Heavy imports are in functions: the module is imported with the plugin."""

from __future__ import annotations

from pathlib import Path


def push(arguments: list[str]) -> int:
    """Upload a folder of exporter=hub_folder to the hub."""
    from storm_exp import Answer
    from storm_export.hub.upload import MAIN, Upload, find_upload, listing
    from storm_inference.targets.claimed import claimed
    from storm_inference.targets.options import OptionParser
    from storm_inference.targets.target import STORE

    parser = OptionParser(
        "push",
        "Upload a folder of exporter=hub_folder to the hub.",
        "hub OWNER/NAME --dry-run",
        "hub OWNER/NAME --private",
    )
    add = parser.add_argument
    add(
        "model",
        help="a stage (hub in the latest run), the first digits of a key, or a folder",
    )
    add(
        "repository",
        metavar="OWNER/NAME",
        help="a repository, which is created if it does not exist",
    )
    add("--private", action="store_true", help="the repository must be private")
    add("--revision", default=MAIN, metavar="BRANCH", help=f"a branch (default: {MAIN})")
    add("--dry-run", action="store_true", help="only list the files")
    add("--json", action="store_true", help="print one JSON object")
    add("--store", metavar="DIR", default=str(STORE), help=f"store of keys (default: {STORE})")
    options = parser.read(arguments)
    if options is None:
        return 0
    with claimed("push", Path(options.store), options.model):
        target = find_upload(options.model, Path(options.store))
        upload = Upload(
            target=target,
            repository=options.repository,
            revision=options.revision,
            private=options.private,
        )
        files = upload.files()
        kind = "private" if options.private else "public if it is new"
        head = f"{target.place} → {options.repository} ({options.revision}; {kind}):"
        if not options.json:
            print("\n".join([head, *listing(files)]), flush=True)
        commit = "" if options.dry_run else upload.send()
    item = {"folder": str(target.place), "repository": options.repository, "commit": commit}
    item |= {"revision": options.revision, "files": files}
    done = commit or "nothing was uploaded (--dry-run)"
    return Answer("push", [item], [done]).print(arguments)

"""The verb `new`: a folder with a recipe, a preset, a component, a sweep and tests."""

from __future__ import annotations

import shlex
from pathlib import Path

from storm_exp import Answer, StormError
from storm_inference.targets.options import OptionParser
from storm_project.project_name import ProjectName, choose_name

TEMPLATE = Path(__file__).parent / "template"
"""A project that works as it stands, under the name `my_project`."""


def new(arguments: list[str]) -> int:
    """Lay out a project of your own."""
    about = "Lay out a project of your own: a recipe, a preset, a component, a sweep, tests."
    parser = OptionParser("new", about, "my-project", "'a folder' --name my_project")
    parser.add_argument("folder", metavar="DIR", type=Path, help="an empty or a new folder")
    parser.add_argument("--name", help="name of the Python package; by default, as the folder's")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    if any(word.partition("=")[0] == "--from-mergekit" for word in arguments):
        raise StormError(
            "new: no flag '--from-mergekit'; a mergekit YAML becomes a recipe by the verb: "
            "storm-exp mergekit FILE > own/recipe/NAME.yaml"
        )
    given = parser.read(arguments)
    if given is None:
        return 0
    _check_folder(given.folder)
    name = choose_name(given.name, given.folder)
    try:
        files = lay_out(given.folder, name)
    except OSError as error:
        raise StormError(f"storm-exp new: {error.filename}: {error.strerror}") from error
    folder = shlex.quote(str(given.folder))
    lines = [
        f"{given.folder}: the project {name.distribution}",
        *(f"  {file}" for file in files),
        "it is found once it is installed:",
        f"  pip install --editable {folder}",
        "then, for example:",
        f"  pytest {folder}",
        f"  storm-exp plan recipe={name.package}/curated",
        f"  storm-exp recipe={name.package}/curated",
        f"  storm-exp sweep={name.package}/lengths",
    ]
    item: dict[str, object] = {"folder": str(given.folder), "distribution": name.distribution}
    item |= {"package": name.package, "files": [str(file) for file in files]}
    return Answer("new", [item], lines).print(arguments)


def lay_out(folder: Path, name: ProjectName) -> list[Path]:
    """Write the project's files under its name; return them, relative to the folder."""
    files = []
    for source in sorted(TEMPLATE.rglob("*")):
        if source.is_dir() or source.suffix == ".pyc":
            continue
        target = Path(name.written_in(str(source.relative_to(TEMPLATE))))
        if target.name == "gitignore":
            target = target.with_name(".gitignore")
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        text = name.written_in(source.read_text(encoding="utf-8"))
        (folder / target).write_text(text, encoding="utf-8")
        files.append(target)
    return files


def _check_folder(folder: Path) -> None:
    """Raise StormError unless a folder is empty or not there."""
    if folder.exists() and not folder.is_dir():
        raise StormError(f"storm-exp new: {folder} is a file; name a new or an empty folder")
    if folder.is_dir() and (names := sorted(path.name for path in folder.iterdir())):
        first = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise StormError(f"storm-exp new: {folder} is not empty ({first}); name a new folder")

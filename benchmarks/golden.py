"""The figures that a reorganisation of the code must not move, kept and compared.

    python benchmarks/golden.py keep outputs/golden/before.json           four miniature recipes
    python benchmarks/golden.py keep outputs/golden/before.json smoke     or those named
    python benchmarks/golden.py compare outputs/golden/before.json outputs/golden/after.json

`keep` runs recipes on one thread with seed 0, through the command line, and reads figures from the
files of the run, so that it works on any commit whose runs leave `run.json` and artifacts. It runs
in a folder of its own for every state of the code, by default below outputs/golden: what one state
made is never taken for another's, and an interrupted `keep` goes on where it was.

A figure belongs to a recipe, a stage and a series: `training.json .steps[].loss` is a list of
numbers. Kept are the numbers of JSON documents, every row of JSON lines and Parquet (its texts as
digests), a digest of every tensor and of any other file, and the metrics that do not tell of speed.
`compare` asks that numbers be equal to the last digit. A series that is found unchanged under
another name is told of and is no difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECIPES = ("storm", "solar", "minitron_width", "tinyllama")
SPEED = re.compile("per_second|seconds|memory")
SHOWN = 10
UNSTEADY = re.compile(r"config\.json |chat\.json |\.degrees$")
"""In no summary: settings of models, and angles (an arc cosine near one magnifies last bits)."""

Series = dict[str, list[Any]]
"""Values by name. A text or a tensor stands as the beginning of its SHA-256."""


def keep(file: Path, recipes: list[str], work: Path, summary: bool) -> None:
    """Run `recipes` in a folder below `work` and write their figures to `file`.

    With `summary`, only numbers of documents, to eight digits, and metrics: small enough to commit,
    and the same on other machines within a tolerance.
    """
    from results import setting

    commit = state()
    folder = work / commit
    folder.mkdir(parents=True, exist_ok=True)
    figures = {}
    for recipe in recipes:
        print(f"{recipe} in {folder}", flush=True)
        run(recipe, folder)
        figures[recipe] = figures_of_run(folder / "outputs/latest", summary)
    if state() != commit:
        sys.exit("the code changed meanwhile: keep the figures again, in a work tree of their own")
    head = {"commit": commit, "setting": setting(("numpy", "pyarrow"))}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(written(head, figures), encoding="utf-8")
    print(f"{sum(map(len, figures.values()))} series in {file}")


def state() -> str:
    """Return the commit, with a digest of what differs from it outside benchmarks and tests."""
    outside = [":!benchmarks", ":!tests", ":!docs"]
    commit = _git("rev-parse", "--short=12", "HEAD").strip()
    changed = _git("ls-files", "-z", "-mo", "--exclude-standard", "--", ".", *outside)
    if not changed:
        return commit
    digest = hashlib.sha256()
    for name in sorted(set(changed.rstrip("\0").split("\0"))):
        digest.update(name.encode())
        digest.update((ROOT / name).read_bytes() if (ROOT / name).is_file() else b"")
    return f"{commit}-{digest.hexdigest()[:8]}"


def run(recipe: str, folder: Path) -> None:
    """Run a recipe in `folder` on one thread, with the code beside this file."""
    paths = [str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")]
    command = ["-m", "storm_exp", f"recipe={recipe}", "seed=0", "runtime.threads=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    log = folder / f"{recipe}.log"
    with log.open("w", encoding="utf-8") as output:
        code = subprocess.call(
            [sys.executable, *command], cwd=folder, env=environment, stdout=output, stderr=output
        )
    if code:
        sys.exit(f"{recipe} ended with code {code}, see {log}")


def figures_of_run(folder: Path, summary: bool = False) -> Series:
    """Return the figures of a run's artifacts, in the order of its stages."""
    figures: Series = {}
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for cell in record["cells"]:
        for stage in cell["stages"]:
            name = f"{cell['name']} {stage['stage']}[{stage['element']}]".replace("[]", "").strip()
            metrics = {k: v for k, v in stage["metrics"].items() if not SPEED.search(k)}
            found = {f"metrics .{key}": [value] for key, value in metrics.items()}
            for place in dict.fromkeys(v for v in stage.values() if isinstance(v, str)):
                if Path(place).is_absolute() and Path(place).is_dir():
                    within = "" if place == stage["directory"] else "written/"
                    found |= figures_of_payload(Path(place), within, summary)
            figures |= {f"{name}: {series}": values for series, values in found.items()}
    return figures


def figures_of_payload(folder: Path, within: str, summary: bool) -> Series:
    """Return the figures of an artifact's files, each under its file's name."""
    figures: Series = {}
    for file in sorted(f for f in folder.rglob("*") if f.is_file() and f.name != "manifest.json"):
        name = within + file.relative_to(folder).as_posix()
        if file.suffix == ".json" and not file.name.startswith("tokenizer"):
            found = series(json.loads(file.read_text(encoding="utf-8")), texts=False)
        elif summary:
            continue
        elif file.suffix == ".jsonl":
            lines = file.read_text(encoding="utf-8").splitlines()
            found = series([json.loads(line) for line in lines], texts=True)
        elif file.suffix == ".parquet":
            import pyarrow.parquet

            found = series(pyarrow.parquet.read_table(file).to_pylist(), texts=True)
        elif file.suffix == ".safetensors":
            found = tensors(file)
        else:
            found = {"bytes": [_digest(file.read_bytes())]}
        figures |= {f"{name} {key}": values for key, values in found.items()}
    if summary:
        steady = {key: values for key, values in figures.items() if not UNSTEADY.search(key)}
        return {key: [_rounded(v) for v in values] for key, values in steady.items()}
    return figures


def series(value: Any, texts: bool) -> Series:
    """Return a document's numbers by path, lists running on under one path."""
    found: Series = {}
    for path, leaf in leaves(value):
        if leaf is None or isinstance(leaf, bool | int | float):
            found.setdefault(path, []).append(leaf)
        elif texts:
            found.setdefault(path, []).append(_digest(str(leaf).encode()))
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a document's leaves with their paths, but what was set by the user."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key != "settings":
                yield from leaves(entry, f"{path}.{key}")
    elif isinstance(value, list):
        for entry in value:
            yield from leaves(entry, f"{path}[]")
    else:
        yield path, value


def tensors(file: Path) -> Series:
    """Return a digest of every tensor in a safetensors file."""
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in sorted(header.items()):
        begin, end = entry["data_offsets"]
        found[name] = [_digest(content[start + begin : start + end])]
    return found


def written(head: dict[str, str], figures: dict[str, Series]) -> str:
    """Return kept figures as JSON, one series a line."""
    recipes = []
    for recipe, kept in figures.items():
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in kept.items())
        recipes.append(f"{json.dumps(recipe)}: {{\n{lines}\n}}")
    return '{"about": ' + json.dumps(head) + ',\n"figures": {\n' + ",\n".join(recipes) + "\n}}\n"


def read(file: Path) -> tuple[dict[str, str], dict[str, Series]]:
    """Return what a file says of its making, and its figures by recipe."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return content["about"], content["figures"]


def differences(
    before: Series, after: Series, tolerance: float = 0.0
) -> tuple[list[str], list[tuple[str, str]]]:
    """Return a line for every series that moved, and pairs of names that have the same values.

    `tolerance` is relative for numbers above one and absolute below.
    """
    new = [name for name in after if name not in before]
    moved, renamed = [], []
    for name, values in before.items():
        if name in after:
            position = first_difference(values, after[name], tolerance)
            if position is not None:
                moved.append(f"{name} {_contrast(values, after[name], position)}")
            continue
        same = (n for n in new if first_difference(values, after[n], tolerance) is None)
        other = next(same, None)
        if other is None:
            moved.append(f"{name} is gone: {str(values)[:60]}")
        else:
            new.remove(other)
            renamed.append((name, other))
    return moved, renamed


def first_difference(before: list[Any], after: list[Any], tolerance: float) -> int | None:
    """Return where two series part, `None` if nowhere."""
    for position, pair in enumerate(zip(before, after, strict=False)):
        if not _same(*pair, tolerance):
            return position
    return min(len(before), len(after)) if len(before) != len(after) else None


def compare(before: Path, after: Path, tolerance: float) -> int:
    """Print where the figures of two files differ and return how many series do."""
    (about, first), (other_about, second) = read(before), read(after)
    print(f"{before}: {about['commit']}\n{after}: {other_about['commit']}")
    if about["setting"].split("; ", 1)[1] != other_about["setting"].split("; ", 1)[1]:
        print(
            f"measured otherwise: {about['setting']}\n                    {other_about['setting']}"
        )
    count = 0
    for recipe, figures in first.items():
        moved, renamed = differences(figures, second.get(recipe, {}), tolerance)
        count += len(moved)
        numbers = sum(map(len, figures.values()))
        print(f"{recipe}: {len(moved)} of {len(figures)} series ({numbers} figures) differ")
        stages: dict[str, list[str]] = {}
        for line in moved:
            stages.setdefault(line.split(": ", 1)[0], []).append(line)
        for lines in stages.values():
            more = f" (and {len(lines) - 1} more series of the stage)" if lines[1:] else ""
            print(f"  {lines[0]}{more}")
        for name, new_name in renamed[:SHOWN]:
            print(f"  same under another name: {name} -> {new_name}")
        if renamed[SHOWN:]:
            print(f"  and {len(renamed) - SHOWN} more series under another name")
    print("different" if count else "the same")
    return count


def _same(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        close = abs(one - other) <= tolerance * max(1.0, abs(one))
        return one == other or close or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def _contrast(before: list[Any], after: list[Any], position: int) -> str:
    if position >= min(len(before), len(after)):
        return f"has {len(before)} and {len(after)} figures"
    return f"at {position + 1} of {len(before)}: {before[position]!r} and {after[position]!r}"


def _rounded(value: Any) -> Any:
    return float(f"{value:.8g}") if isinstance(value, float) else value


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    keeping = commands.add_parser("keep", help="run recipes and write their figures")
    keeping.add_argument("file", type=Path)
    keeping.add_argument("recipes", nargs="*", default=list(RECIPES))
    keeping.add_argument("--work", type=Path, default=ROOT / "outputs/golden", help="where to run")
    keeping.add_argument("--summary", action="store_true", help="what other machines agree on")
    comparing = commands.add_parser("compare", help="say where two files differ")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--tolerance", type=float, default=0.0)
    given = parser.parse_args()
    if given.command == "keep":
        keep(given.file, given.recipes, given.work.absolute(), given.summary)
    elif compare(given.before, given.after, given.tolerance):
        sys.exit(1)


if __name__ == "__main__":
    main()

"""Sample rows in the schema of every data set that a preset reads, written here for rehearsals.

One YAML file per repository: `files` names a file of each split as in the repository, and `rows`
has its rows. In texts, `{n}` becomes a number and `{long}` a long text, so that any number of
different rows can be made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent
_LONG = 6_000
"""Characters of the longest text: more than a rehearsed judge or training reads."""
_SHORT = 400


def sample_of(repo: str) -> Path | None:
    """Return the file with a repository's sample, None where there is none."""
    file = _FOLDER / f"{repo.replace('/', '--')}.yaml"
    return file if file.is_file() else None


def write_sample(repo: str, folder: Path, rows: int) -> None:
    """Write `rows` rows per split of a repository, in files named as in the repository."""
    file = sample_of(repo)
    assert file is not None, f"no sample of {repo}"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    for split, name in content["files"].items():
        templates = content["rows"][split]
        count = len(templates)
        made_up = [_varied(templates[i % count], i + 2, long=i < count) for i in range(rows)]
        _write(folder / name, made_up)
    configs = [
        {
            "config_name": "default",
            "data_files": [
                {"split": split, "path": name} for split, name in content["files"].items()
            ],
        }
    ]
    card = yaml.safe_dump({"configs": configs}, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{card}---\n", encoding="utf-8")


def _varied(value: Any, number: int, *, long: bool) -> Any:
    if isinstance(value, dict):
        return {name: _varied(item, number, long=long) for name, item in value.items()}
    if isinstance(value, list):
        return [_varied(item, number, long=long) for item in value]
    if not isinstance(value, str):
        return value
    if "{long}" in value:
        value = value.replace("{long}", _long_text(number, _LONG if long else _SHORT))
    return value.replace("{n}", str(number))


def _long_text(number: int, characters: int) -> str:
    days = (
        f"On day {day} of journey {number} they walked {day * number % 37} miles, met "
        f"{day % 5} others on the road, and slept where the map shows place {day + number}."
        for day in range(1, characters)
    )
    text = ""
    while len(text) < characters:
        text += next(days) + "\n"
    return text.strip()


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), file)
        return
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if file.suffix == ".zst":
        import zstandard

        file.write_bytes(zstandard.compress(lines.encode()))
    else:
        file.write_text(json.dumps(rows) if file.suffix == ".json" else lines, encoding="utf-8")

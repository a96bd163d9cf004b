"""Finished data sets: adopted from a directory, or made by a user's program."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storm_command.dataset_command import DatasetCommand
from storm_data.dataset import Dataset
from storm_data.sources.dataset_path import DatasetPath
from storm_exp import FileDigests, InputError, SettingError
from storm_exp.testing import make_stage


def chat(number: int) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": f"What is {number} + 1?"},
        {"role": "assistant", "content": f"{number + 1}"},
    ]


def row(number: int, **more: object) -> dict[str, object]:
    return {"id": f"r{number}", "messages": chat(number), "source": "mine", **more}


def write(folder: Path, **splits: list[dict[str, object]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


def test_a_directory_of_splits_is_adopted_and_its_place_is_in_no_key(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", train=[row(n) for n in range(5)], validation=[row(7)])
    (folder / "notes.txt").write_text("not ours", encoding="utf-8")
    found = DatasetPath(path=str(folder))
    stage = make_stage(tmp_path, "stage")
    made = found.run(stage)
    assert made.directory == folder
    assert stage.adopted_files == ["train.parquet", "validation.parquet"]
    assert made.spec() == found.plan_spec()
    assert found.plan_spec().splits == {"train": [5, 5], "validation": [1, 1]}
    fingerprint = found.fingerprint(FileDigests(tmp_path / "digests.json"))
    assert set(fingerprint) == {"train.parquet", "validation.parquet"}
    assert str(tmp_path) not in str(fingerprint)


@pytest.mark.parametrize(
    ("splits", "problem"),
    [
        ({"test": [row(1)]}, "expected train.parquet.*it has test.parquet"),
        ({"train": [row(1)], "test": [row(2)]}, "expected train.parquet.*test.parquet"),
        ({"train": [{"id": "1", "words": "x"}]}, "expected `messages` .chats., `text`"),
        ({"train": [{"messages": chat(1), "source": "mine"}]}, "no column 'id'"),
        ({"train": [row(1, id=1)]}, "column 'id' is int64, expected string"),
        ({"train": [row(1, messages=["x"])]}, "column 'messages' is list"),
        ({"train": [row(1, messages=[{"role": "user"}])]}, "column 'messages' is list"),
    ],
)
def test_what_is_no_data_set_is_refused_at_plan_time(tmp_path, splits, problem) -> None:
    with pytest.raises(InputError, match=problem):
        DatasetPath(path=str(write(tmp_path / "mine", **splits))).plan_spec()


def test_files_that_are_no_parquet_and_paths_that_are_no_directory_are_named(tmp_path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.parquet").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.parquet: not Parquet"):
        DatasetPath(path=str(folder)).plan_spec()
    with pytest.raises(SettingError, match="for a JSONL file take chat_jsonl"):
        DatasetPath(path=str(folder / "train.parquet")).plan_spec()
    with pytest.raises(SettingError, match="there is no such"):
        DatasetPath(path=str(tmp_path / "nowhere")).plan_spec()


@pytest.mark.parametrize(
    ("splits", "problem"),
    [
        ({"train": [row(1), row(1)]}, r"train\.parquet, row 2: an earlier row has the id 'r1'"),
        ({"train": [row(1)], "validation": [row(1)]}, r"validation\.parquet, row 1: an earlier"),
        ({"train": [row(1), row(2, messages=[])]}, r"train\.parquet, row 2: 'messages' is empty"),
        ({"train": [row(1), row(2, id=None)]}, r"train\.parquet, row 2: 'id' is empty"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_before_any_model_loads(tmp_path, splits, problem):
    found = DatasetPath(path=str(write(tmp_path / "mine", **splits)))
    found.plan_spec()
    with pytest.raises(InputError, match=problem):
        found.run(make_stage(tmp_path, "stage"))


def program(folder: Path, text: str) -> str:
    script = folder / "make data.py"
    script.write_text(f"import json, pathlib, shutil, sys\n{text}", encoding="utf-8")
    return f"{sys.executable} '{script}' {{out}}"


LINES = "pathlib.Path(sys.argv[1], name).write_text(''.join(json.dumps(r) + '\\n' for r in rows))"


def test_a_program_that_leaves_chats_has_them_checked_and_split(tmp_path: Path) -> None:
    rows = [{"messages": chat(n)} for n in range(10)] + [{"messages": []}]
    text = f"name, rows = 'chats.jsonl', {rows!r}\n{LINES}"
    command = DatasetCommand(line=program(tmp_path, text), validation_rows=2, seed=0)
    made = command.run(make_stage(tmp_path, "stage"))
    assert {name: made.count(name) for name in made.splits()} == {
        "train": 8,
        "validation": 2,
        "rejected": 1,
    }
    assert sorted(file.name for file in made.directory.iterdir()) == [
        "funnel.json",
        "rejected.parquet",
        "train.parquet",
        "validation.parquet",
    ]


def test_rows_of_several_files_keep_ids_of_their_own(tmp_path: Path) -> None:
    text = "for name in ('a.jsonl', 'b.jsonl'):\n    rows = [{'id': 'x', 'messages': "
    text += f"[{{'role': 'user', 'content': name}}, {chat(1)[1]!r}]}}]\n    {LINES}"
    command = DatasetCommand(line=program(tmp_path, text), validation_share=0.0, seed=0)
    made = command.run(make_stage(tmp_path, "stage"))
    assert [row["id"] for row in made.rows("train")] == ["a:x", "b:x"]


def test_a_program_that_leaves_splits_has_them_kept(tmp_path: Path) -> None:
    data = Dataset(write(tmp_path / "pool", train=[row(n) for n in range(4)]))
    text = "shutil.copy(sys.argv[2] + '/train.parquet', sys.argv[1])"
    command = DatasetCommand(line=program(tmp_path, text) + " {data}", seed=0)
    made = command.run(make_stage(tmp_path, "stage"), data=data)
    assert list(made.rows("train")) == list(data.rows("train"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the program wrote nothing; expected JSONL"),
        ("pathlib.Path(sys.argv[1], 'data.csv').touch()", r"the program wrote data\.csv"),
        ("sys.exit('no luck')", "the program ended with exit code 1:\nno luck"),
        (f"name, rows = 'a.jsonl', [{{}}]\n{LINES}", "the program's files: none of the 1 rows"),
    ],
)
def test_what_a_program_did_wrong_is_told(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        DatasetCommand(line=program(tmp_path, text), seed=0).run(make_stage(tmp_path, "stage"))


def test_what_an_earlier_attempt_left_is_not_taken(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, "stage")
    write(stage.scratch / "out", train=[row(1)])
    with pytest.raises(InputError, match="wrote nothing"):
        DatasetCommand(line=program(tmp_path, ""), seed=0).run(stage)


def test_a_line_without_its_places_and_limits_that_cannot_be_are_refused() -> None:
    for line in ("make.py", "make.py {out} {models}"):
        with pytest.raises(SettingError, match="line="):
            DatasetCommand(line=line, seed=0)
    with pytest.raises(SettingError, match="validation_share"):
        DatasetCommand(line="make.py {out}", validation_share=1.0, seed=0)
    with pytest.raises(SettingError, match="no program 'mkae'"):
        DatasetCommand(line="mkae {out}", seed=0).plan_spec()

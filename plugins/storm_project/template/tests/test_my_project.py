"""The component, the recipe and the sweep, without training anything."""

import json
from pathlib import Path

import pytest
from my_project.short_answers import ShortAnswers

from storm_data.dataset import Dataset
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_exp.testing import check_component, make_stage, plan, run, run_component


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """A file of twenty chats, whose answers have 1 to 20 characters."""
    file = tmp_path / "chats.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for length in range(1, 21):
            question = {"role": "user", "content": f"Write {length} letters."}
            answer = {"role": "assistant", "content": "a" * length}
            stream.write(json.dumps({"messages": [question, answer]}) + "\n")
    return file


def test_the_curator_keeps_its_contract(tmp_path: Path, chats: Path) -> None:
    source = ChatJsonl(path=str(chats), validation_rows=4)
    data = run_component(source, make_stage(tmp_path / "data"))
    curated = check_component(ShortAnswers(max_characters=10), tmp_path, data=data)
    assert isinstance(curated, Dataset)
    answers = [row["messages"][-1]["content"] for row in curated.rows("train")]
    assert max(map(len, answers)) <= 10
    assert curated.count("train") + curated.count("rejected") == 16
    assert curated.count("validation") == 4


def test_the_recipe_tunes_on_what_the_curator_keeps(tmp_path: Path) -> None:
    planned = {
        node.label: node for node in plan(tmp_path, "recipe=my_project/curated").nodes.values()
    }
    assert planned["curator"].settings == ShortAnswers(max_characters=60)
    assert "finetuner" in planned


def test_the_recipe_runs_as_far_as_the_curator(tmp_path: Path, chats: Path) -> None:
    words = ["dataset=chat_jsonl", f"dataset.path='{chats}'", "curator.max_characters=10"]
    result = run(tmp_path, "recipe=my_project/curated", *words, "targets=[curator]")
    assert result.code == 0, result.err
    assert 0 < result.stage("curator").metrics["share kept"] < 1


def test_the_sweep_is_planned(tmp_path: Path) -> None:
    result = run(tmp_path, "plan", "sweep=my_project/lengths")
    assert result.code == 0, result.err
    assert result.plan is not None
    assert len(result.plan.cells) == 9

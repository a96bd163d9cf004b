"""The same rows of a file are usable, or not, in every stage, and the same turns are learnt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storm_data.sources.chat_jsonl import ChatJsonl
from storm_evaluation.held_out.held_out import LOSS, HeldOut
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_inference.answers import Answers
from storm_models.testing import make_checkpoint
from storm_training.data.chat_tokens import ChatTokenSet
from storm_training.data.token_set import TokenSet

ROWS = [
    {
        "conversations": [
            {"from": "gpt", "value": "welcome"},
            {"from": "human", "value": "say yes"},
            {"from": "gpt", "value": "yes"},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "say four"},
            {"role": "assistant", "content": "five", "weight": 0},
            {"role": "user", "content": "no"},
            {"role": "assistant", "content": "four"},
        ]
    },
    {"instruction": "who came", "context": "ann came", "response": "ann"},
    {"prompt": "say no", "completion": [{"role": "assistant", "content": "no"}]},
    {"conversations": [{"from": "gpt", "value": "hello"}, {"from": "human", "value": "go"}]},
]
LEARNT = ["yes", "four", "ann", "no"]


def test_what_a_row_says_is_the_same_in_every_stage(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    data = ChatJsonl(path=str(file), validation_share=0.0).run(make_stage(tmp_path, "data"))
    assert [row["reason"] for row in data.rows("rejected")] == ["no assistant turn"]
    model = make_checkpoint(tmp_path / "model")
    tokens = TokenSet(ChatTokenSet().run(make_stage(tmp_path, "tokens"), model, data).directory)
    decode = model.tokenizer().decode
    learnt = [decode(ids[marks]) for ids, marks in tokens.sequences("train")]
    assert learnt == [f"{text}<|end|>" for text in LEARNT]
    # The same rows, asked and scored.
    shown = HeldOut(split="train").run(make_stage(tmp_path, "held_out"), model, data)
    scored = [sample for sample in shown.samples() if sample.task == LOSS]
    assert sum(sample.weight for sample in scored) == sum(
        marks.sum() for _, marks in tokens.sequences("train")
    )
    # A random model ends no answer; that it was asked for each, none refused, is what counts.
    with pytest.raises(InputError, match=f"{len(LEARNT)} times the answer does not end within 1"):
        Answers(max_new_tokens=1, seed=0).run(make_stage(tmp_path, "answers"), model, data)

"""The loss on held-out documents is the model's own, piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import document_schema
from storm_evaluation.held_out.held_out_text import HeldOutText
from storm_evaluation.held_out.rows import LOSS
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec

TEXTS = [f"The square of {number} is {number**2}." * (number % 3 + 1) for number in range(6)]


def documents(folder: Path, texts: list[str]) -> Dataset:
    folder.mkdir()
    data = Dataset(folder)
    rows = [{"id": str(n), "text": text, "source": "test"} for n, text in enumerate(texts)]
    data.write("validation", rows, document_schema())
    return data


def losses(model: Any, ids: list[int]) -> list[float]:
    """Return the loss of every token of a row but the first, by transformers."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1]
    return torch.nn.functional.cross_entropy(
        logits, torch.tensor(ids[1:]), reduction="none"
    ).tolist()


@pytest.mark.parametrize("window", [None, 20])
def test_the_loss_is_that_of_the_model_per_token(
    tmp_path: Path, checkpoint: Checkpoint, window: int | None
) -> None:
    data = documents(tmp_path / "data", TEXTS)
    evaluation = HeldOutText(max_length=window).run(make_stage(tmp_path), checkpoint, data)
    model, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    expected: list[float] = []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        edges = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        before, after = ([] if edge is None else [edge] for edge in edges)
        ids = [*before, *ids, *after]
        size = window or len(ids)
        for start in range(1, len(ids), size):
            expected += losses(model, ids[start - 1 : start + size])
    score = evaluation.summary()["tasks"][LOSS]
    assert score["score"] == pytest.approx(sum(expected) / len(expected), abs=1e-5)
    assert not score["higher_is_better"]
    assert sum(sample.weight for sample in evaluation.samples()) == len(expected)


def test_the_limit_takes_the_first_documents(tmp_path: Path, checkpoint: Checkpoint) -> None:
    data = documents(tmp_path / "data", TEXTS)
    first = documents(tmp_path / "first", TEXTS[:2])
    limited = HeldOutText(limit=2).run(make_stage(tmp_path, "limited"), checkpoint, data)
    alone = HeldOutText().run(make_stage(tmp_path, "alone"), checkpoint, first)
    assert list(limited.samples()) == list(alone.samples())


def test_a_seed_draws_the_same_documents_for_every_model_in_any_order(
    tmp_path: Path, checkpoint: Checkpoint, other_checkpoint: Checkpoint
) -> None:
    data = documents(tmp_path / "data", TEXTS)

    def drawn(name: str, model: Checkpoint, limit: int, seed: int | None) -> set[str]:
        asked = HeldOutText(limit=limit, limit_seed=seed)
        made = asked.run(make_stage(tmp_path, name), model, data)
        assert made.summary()["settings"]["limit_seed"] == seed
        return {sample.document for sample in made.samples()}

    first = drawn("first", checkpoint, 3, None)
    one = drawn("one", checkpoint, 3, 1)
    assert drawn("again", other_checkpoint, 3, 1) == one
    assert drawn("fewer", checkpoint, 2, 1) < one, "more questions are added to those there are"
    assert {frozenset(drawn(f"{n}", checkpoint, 3, n)) for n in range(2, 5)} - {frozenset(one)}
    assert one != first or drawn("two", checkpoint, 3, 2) != first


def test_what_is_no_document_is_refused_when_it_is_planned() -> None:
    model = CheckpointSpec()
    chats = DatasetSpec(splits={"validation": [9, 9]}, columns=["id", "messages", "source"])
    with pytest.raises(InputError, match="need the columns text, and have id, messages, source"):
        HeldOutText().plan_spec(model, chats)
    with pytest.raises(SettingError, match=r"split='validation': needs at least 2 rows"):
        HeldOutText().plan_spec(model, DatasetSpec(splits={"train": [9, 9]}))

"""A held-out pair counts for a model that finds the chosen answer likelier, token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import preference_schema
from storm_evaluation.held_out.held_out_pairs import PREFERENCE, HeldOutPairs
from storm_evaluation.held_out.rows import LOSS
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec

PAIRS = [(f"square {n}", f"it is {n * n}", f"I do not know {n}") for n in range(8)]


def said(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": text}]


def preferences(folder: Path, pairs: list[tuple[str, str, str]]) -> Dataset:
    folder.mkdir()
    data = Dataset(folder)
    rows = [
        {
            "id": str(number),
            "prompt": said("user", asked),
            "chosen": said("assistant", chosen),
            "rejected": said("assistant", rejected),
            "source": "test",
        }
        for number, (asked, chosen, rejected) in enumerate(pairs)
    ]
    data.write("validation", rows, preference_schema())
    return data


def answer_losses(checkpoint: Checkpoint, asked: str, answer: str) -> list[float]:
    """Return the loss of every token of an answer, by transformers."""
    model, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    render = tokenizer.apply_chat_template
    prompt = tokenizer(
        render(said("user", asked), tokenize=False, add_generation_prompt=True),
        add_special_tokens=False,
    ).input_ids
    messages = [*said("user", asked), *said("assistant", answer)]
    ids = tokenizer(render(messages, tokenize=False), add_special_tokens=False).input_ids
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1]
    found = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
    return found[len(prompt) - 1 :].tolist()


def test_the_share_of_preferred_answers_and_their_loss_are_the_models(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    data = preferences(tmp_path / "data", PAIRS)
    evaluation = HeldOutPairs().run(make_stage(tmp_path), checkpoint, data)
    preferred, chosen_losses = 0, []
    for asked, chosen, rejected in PAIRS:
        one, other = (answer_losses(checkpoint, asked, text) for text in (chosen, rejected))
        preferred += sum(one) / len(one) < sum(other) / len(other)
        chosen_losses += one
    tasks = evaluation.summary()["tasks"]
    assert tasks[PREFERENCE]["score"] == preferred / len(PAIRS)
    assert tasks[PREFERENCE]["n"] == len(PAIRS)
    assert tasks[LOSS]["score"] == pytest.approx(sum(chosen_losses) / len(chosen_losses), abs=1e-5)


def test_swapped_answers_give_the_rest(tmp_path: Path, checkpoint: Checkpoint) -> None:
    swapped = [(asked, rejected, chosen) for asked, chosen, rejected in PAIRS]
    shares = [
        HeldOutPairs()
        .run(make_stage(tmp_path, name), checkpoint, preferences(tmp_path / f"{name}s", pairs))
        .summary()["mean"]
        for name, pairs in (("right", PAIRS), ("swapped", swapped))
    ]
    assert sum(shares) == pytest.approx(1)


def test_what_is_no_pair_or_has_no_template_is_refused_when_it_is_planned() -> None:
    chats = DatasetSpec(splits={"validation": [9, 9]}, columns=["id", "messages", "source"])
    with pytest.raises(InputError, match="need the columns prompt, chosen, rejected, and have id"):
        HeldOutPairs().plan_spec(CheckpointSpec(), chats)
    pairs = DatasetSpec(splits={"validation": [9, 9]}, columns=["prompt", "chosen", "rejected"])
    with pytest.raises(InputError, match=r"no chat template: set chat\.template=chatml"):
        HeldOutPairs().plan_spec(CheckpointSpec(has_chat_template=False), pairs)
    spec = HeldOutPairs().plan_spec(CheckpointSpec(), pairs)
    assert spec.tasks == [PREFERENCE, LOSS]

"""Token sets and packed rows, as `storm-exp look` and the report show them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_byte_tokenizer, make_checkpoint
from storm_report.look.view import Choice, Subject
from storm_training.data.examples_file import read_examples
from storm_training.data.packed_rows import packed_rows
from storm_training.data.packing import build_batch
from storm_training.data.preference_tokens import PreferenceTokenSet
from storm_training.data.token_set import TokenSet
from storm_training.look.subjects import find_subjects
from storm_training.look.token_set_view import TokenSetView
from storm_training.look.training_view import TrainingView
from storm_training.loop.loader import plan_run
from storm_training.testing import ragged_sequences, small_settings

BYTES = make_byte_tokenizer()


@pytest.fixture
def subject(trained, monkeypatch):
    """Return the subject of a stage of the run."""
    monkeypatch.chdir(trained[0])

    def find(label: str) -> Subject:
        (viewed,) = find_subjects(label, Path("outputs/store")).viewed
        return viewed.subjects[0]

    return find


def show(view, subject, **choice):
    listing = view.show([subject], Choice(**choice))
    return listing, list(itertools.islice(listing.examples, 8))


def mask(part) -> list[bool]:
    return [piece.supervised for piece in part.pieces]


def test_tokens_are_shown_with_their_text_and_the_loss_mask(subject):
    tokens = subject("tokens")
    listing, examples = show(TokenSetView(), tokens)
    sequences = TokenSet(tokens.place).sequences("train")
    tokenizer = Checkpoint(subject("finetuner").place).tokenizer()
    for number, example in enumerate(examples):
        (part,) = example.parts
        input_ids, loss_mask = sequences[number]
        assert part.text() == tokenizer.decode(input_ids)
        assert [piece.id for piece in part.pieces] == input_ids.tolist()
        assert mask(part) == loss_mask.tolist()
    assert f"{len(sequences)} chats, {sequences.tokens()} tokens," in listing.facts[0]


def test_a_row_is_found_without_those_before_it(subject):
    _, examples = show(TokenSetView(), subject("tokens"))
    _, later = show(TokenSetView(), subject("tokens"), first=3)
    assert later[:3] == examples[3:6]


def test_rows_that_were_left_out_are_shown_with_the_reason_and_their_text(subject):
    tokens = subject("tokens")
    listing, examples = show(TokenSetView(), tokens, dropped=True)
    assert listing.left_out == {"longer than 20 tokens": sum(listing.left_out.values())}
    assert len(examples) == min(8, sum(listing.left_out.values())) > 0
    for example in examples:
        assert example.reason == "longer than 20 tokens"
        assert example.parts[0].text() == f"say {example.parts[1].text()}"


def test_without_its_tokenizer_a_token_set_shows_ids(subject):
    tokens = subject("tokens")
    alone = Subject(name="tokens", place=tokens.place)
    listing, (first, *_) = show(TokenSetView(), alone)
    assert "--model" in listing.facts[-1]
    assert first.parts[0].text().split() == [str(piece.id) for piece in first.parts[0].pieces]


def test_a_model_with_the_tokenizer_can_be_named_and_no_other(subject, tmp_path):
    tokens = subject("tokens")
    alone = Subject(name="tokens", place=tokens.place)
    model = subject("finetuner")
    assert show(TokenSetView(), alone, model=model)[1] == show(TokenSetView(), tokens)[1]
    other = make_checkpoint(tmp_path / "other", extra_tokens=("<|new|>",))
    with pytest.raises(InputError, match="another tokenizer"):
        show(TokenSetView(), alone, model=Subject(name="other", place=other.directory))


def test_pairs_are_shown_as_chosen_and_rejected(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from storm_data.dataset import Dataset
    from storm_data.rows.arrow_schema import preference_schema

    def turn(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    model = make_checkpoint(tmp_path / "model")
    row = {"id": "a", "source": "s", "prompt": turn("user", "q")}
    row |= {"chosen": turn("assistant", "yes"), "rejected": turn("assistant", "no")}
    (tmp_path / "data").mkdir()
    table = pa.Table.from_pylist([row], schema=preference_schema())
    pq.write_table(table, tmp_path / "data/train.parquet")
    stage = make_stage(tmp_path / "tokens")
    tokens = PreferenceTokenSet().run(stage, model, Dataset(tmp_path / "data"))
    place = Subject(name="tokens", place=tokens.directory)
    named = Subject(name="model", place=model.directory)
    _, (example,) = show(TokenSetView(), place, model=named)
    learnt = ["".join(p.text for p in part.pieces if p.supervised) for part in example.parts]
    assert [part.title for part in example.parts] == ["chosen", "rejected"]
    assert learnt[0].startswith("yes") and learnt[1].startswith("no")


def test_packed_rows_are_those_of_the_batches(tmp_path):
    """Ids, labels and places are those that the model is given, by `build_batch`."""
    sequences = ragged_sequences()
    plan = plan_run(sequences, small_settings())
    shown_rows = packed_rows(BYTES, sequences, plan, 96)
    for step in range(len(plan)):
        for batch in (build_batch(sequences, rows) for rows in plan[step]):
            for row in range(len(batch.input_ids)):
                parts = next(shown_rows).parts
                ids = [piece.id for part in parts for piece in part.pieces]
                width = len(ids)
                assert ids == batch.input_ids[row, :width].tolist()
                assert (batch.segment_ids[row, width:] == -1).all()
                learnt = np.array([flag for part in parts for flag in mask(part)])
                labelled = batch.labels[row, :width].numpy() != -100
                assert (learnt[1:] == labelled[:-1]).all() and not learnt[0]
                starts = np.flatnonzero(batch.position_ids[row, :width].numpy() == 0)
                shown = [part.facts.split()[0] for part in parts]
                assert shown == [str(start) for start in starts]
    assert next(shown_rows, None) is None


def test_a_trained_model_shows_the_rows_that_it_read(subject):
    finetuner = subject("finetuner")
    _, examples = show(TrainingView(), finetuner)
    kept = read_examples(finetuner.place)
    assert len(examples) == 3  # three steps of one row
    assert [example.title for example in examples[:2]] == [e["title"] for e in kept["examples"]]
    assert examples[0].title.startswith("packed row 1 · optimiser step 1 · ")
    names = {part.title for example in examples for part in example.parts}
    _, tokens = show(TokenSetView(), subject("tokens"))
    same = {example.title: example.parts[0].text() for example in tokens}
    for part in (part for example in examples for part in example.parts):
        if part.title in same:
            assert part.text() == same[part.title]
    assert names & set(same)


def test_without_its_tokens_a_trained_model_shows_the_rows_that_it_kept(subject):
    finetuner = subject("finetuner")
    alone = Subject(name="finetuner", place=finetuner.place)
    listing, examples = show(TrainingView(), alone)
    assert "that training kept" in listing.facts[-1]
    assert [e.title for e in examples] == [e.title for e in show(TrainingView(), finetuner)[1][:2]]


def test_what_a_training_left_out_includes_what_its_tokens_left_out(subject):
    listing, examples = show(TrainingView(), subject("finetuner"), dropped=True)
    assert set(listing.left_out) == {"longer than 20 tokens"}
    assert examples == show(TokenSetView(), subject("tokens"), dropped=True)[1]


def test_the_examples_that_a_training_keeps_are_few_and_small(subject):
    finetuner = subject("finetuner")
    assert (finetuner.place / "training_examples.json").stat().st_size < 20_000
    assert len(read_examples(finetuner.place)["examples"]) == 2

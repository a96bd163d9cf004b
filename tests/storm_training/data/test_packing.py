from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from torch.nn import functional

from storm_training.attention.implementation import attention as computed_by
from storm_training.attention.implementation import choose_attention
from storm_training.data.packing import IGNORE_INDEX, build_batch, pack
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.loader import plan_run
from storm_training.objectives.objective import next_token_loss
from storm_training.testing import small_settings


def random_sequences(count: int = 12, longest: int = 30, vocabulary: int = 200) -> TokenSequences:
    draw = np.random.default_rng(3)
    return TokenSequences.collect(
        (draw.integers(0, vocabulary, length), draw.random(length) < 0.7)
        for length in draw.integers(1, longest, count)
    )


@given(st.lists(st.integers(0, 32), max_size=60), st.integers(0, 100))
def test_every_sequence_is_in_one_row_and_no_row_overflows(lengths, seed):
    order = np.random.default_rng(seed).permutation(len(lengths))
    rows = pack(np.array(lengths, dtype=int), order, 32)
    packed = sorted(index for row in rows for index in row)
    assert packed == [index for index, length in enumerate(lengths) if length]
    assert all(sum(lengths[index] for index in row) <= 32 for row in rows)


def test_a_sequence_that_no_row_holds_is_an_error():
    with pytest.raises(ValueError, match="33 tokens"):
        pack(np.array([33]), np.array([0]), 32)


@limits(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 50))
def test_an_epoch_predicts_every_supervised_token_exactly_once(batch_size, passes, seed):
    sequences = random_sequences()
    chosen = small_settings(
        steps=None,
        epochs=2,
        batch_size=batch_size,
        gradient_accumulation_steps=passes,
        seed=seed,
    )
    labels: collections.Counter[int] = collections.Counter()
    for step in plan_run(sequences, chosen):
        for rows in step:
            batch = build_batch(sequences, rows)
            labels.update(batch.labels[batch.labels != IGNORE_INDEX].tolist())
    expected: collections.Counter[int] = collections.Counter()
    for index in range(len(sequences)):
        tokens, supervised = sequences[index]
        expected.update(tokens[1:][supervised[1:]].tolist() * 2)
    assert labels == expected
    assert labels.total() == 2 * sequences.targets()


def test_steps_and_epochs_say_how_long():
    sequences = random_sequences(40)
    one = len(plan_run(sequences, small_settings(steps=None, epochs=1)))
    assert len(plan_run(sequences, small_settings(steps=None, epochs=3))) in range(
        3 * one - 3, 3 * one + 4
    )
    assert len(plan_run(sequences, small_settings(steps=None, epochs=0.5))) == -(-one // 2)
    assert len(plan_run(sequences, small_settings(steps=5 * one + 1))) == 5 * one + 1


def test_the_seed_decides_the_order():
    sequences = random_sequences(40)
    first = list(plan_run(sequences, small_settings(seed=1)))
    assert first == list(plan_run(sequences, small_settings(seed=1)))
    assert first != list(plan_run(sequences, small_settings(seed=2)))


@given(st.integers(2, 40))
def test_pieces_predict_every_token_of_a_long_text_exactly_once(longest):
    sequences = random_sequences(20, longest=120)
    chunks = sequences.chunks(longest)
    assert chunks.lengths().max() <= longest
    assert chunks.targets() == sequences.targets()
    joined = [chunks[0][0]]
    for index in range(1, len(chunks)):
        follows = chunks.spans[index, 1] == chunks.spans[index - 1, 2] - 1
        joined.append(chunks[index][0][1 if follows else 0 :])
    assert np.array_equal(np.concatenate(joined), sequences.parts[0][0])


def test_sequences_of_one_example_stay_in_one_row():
    pairs = dataclasses.replace(random_sequences(12), sequences_per_example=2)
    rows = pack(pairs.lengths(), np.arange(6), 60)
    batch = build_batch(pairs, rows)
    assert batch.examples.tolist() == [index for row in rows for index in row]
    assert int(batch.segment_ids.max()) == 11
    for place, index in enumerate(batch.examples.tolist()):
        for side in (0, 1):
            tokens = batch.input_ids[batch.segment_ids == 2 * place + side]
            assert tokens.tolist() == pairs.example(index)[side][0].tolist()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_logits_equal_separate_logits(checkpoint, attention):
    model = checkpoint.load("float32")
    model.set_attn_implementation(attention)
    sequences = random_sequences()
    rows = pack(sequences.lengths(), np.arange(len(sequences)), 96)
    batch = build_batch(sequences, rows)
    with torch.no_grad():
        together = model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
        ).logits
        for number, row in enumerate(rows):
            start = 0
            for index in row:
                tokens = torch.from_numpy(sequences[index][0].astype(np.int64))
                alone = model(input_ids=tokens[None]).logits[0]
                part = together[number, start : start + len(tokens)]
                assert torch.allclose(part, alone, atol=1e-5)
                start += len(tokens)


@pytest.mark.parametrize("attention", ["sdpa", "documents"])
def test_loss_and_gradients_are_those_of_transformers_on_separate_rows(checkpoint, attention):
    """Under sft's default attention, too; `checkpoint` is a llama and a qwen2."""
    model = checkpoint.load("float32")
    sequences = random_sequences()
    total = torch.zeros(())
    for index in range(len(sequences)):
        tokens, supervised = sequences[index]
        ids = torch.from_numpy(tokens.astype(np.int64))[None]
        labels = torch.where(torch.from_numpy(supervised)[None], ids, IGNORE_INDEX)
        if (labels[:, 1:] != IGNORE_INDEX).any():
            count = int((labels[:, 1:] != IGNORE_INDEX).sum())
            total = total + model(input_ids=ids, labels=labels).loss * count
    total.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    rows = pack(sequences.lengths(), np.arange(len(sequences)), 96)
    with computed_by(model, choose_attention(attention, model, "cpu", "float32")):
        loss = next_token_loss(model, build_batch(sequences, rows))
        loss.backward()
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    differences = [p.grad - expected[name] for name, p in model.named_parameters()]
    norm = torch.nn.utils.get_total_norm(expected.values())
    assert torch.nn.utils.get_total_norm(differences) <= 1e-5 * norm
    for name, parameter in model.named_parameters():
        difference = (parameter.grad - expected[name]).norm()
        assert difference <= 1e-5 * expected[name].norm(), name


def test_a_head_that_changes_its_logits_is_respected(checkpoint):
    model = checkpoint.load("float32")
    sequences = random_sequences()
    batch = build_batch(sequences, pack(sequences.lengths(), np.arange(len(sequences)), 96))
    with torch.no_grad():
        plain = next_token_loss(model, batch)
        model.config.final_logit_softcapping = 30.0
        whole = next_token_loss(model, batch)
        logits = model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False
        ).logits
    expected = functional.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE_INDEX, reduction="sum"
    )
    assert float(plain) == pytest.approx(float(expected), rel=1e-5)
    assert float(whole) == pytest.approx(float(expected), rel=1e-5)

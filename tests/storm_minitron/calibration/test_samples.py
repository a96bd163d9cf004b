import random

import pytest
import torch

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import InputError, SettingError
from storm_inference.calibration.samples import read_samples
from storm_minitron.calibration.batches import make_batches
from storm_minitron.calibration.settings import CalibrationSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import BOS_AND_TURNS, make_byte_tokenizer

SETTINGS = CalibrationSettings(samples=100, max_length=64, batch_size=4, pad_to_multiple_of=16)


def dataset(folder, chats, shuffle=False):
    folder.mkdir()
    rows = [
        {
            "id": f"row {number}",
            "messages": [{"role": role, "content": content} for role, content in chat],
            "source": "s",
        }
        for number, chat in enumerate(chats)
    ]
    if shuffle:
        random.Random(1).shuffle(rows)
    data = Dataset(folder)
    data.write("train", rows, chat_schema())
    return data


def saved(tmp_path, tokenizer):
    """A checkpoint that has a tokenizer and no weights."""
    folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
    tokenizer.save_pretrained(folder)
    return Checkpoint(folder)


def answers(tokenizer, samples):
    marked = [
        [i for i, is_answer in zip(sample.input_ids, sample.answer, strict=True) if is_answer]
        for sample in samples
    ]
    return [tokenizer.decode(ids) for ids in marked]


def test_the_last_answer_is_marked_with_the_token_that_ends_it(tmp_path):
    chat = [("user", "a"), ("assistant", "first"), ("user", "b"), ("assistant", "last one")]
    data = dataset(tmp_path / "data", [chat])
    with_bos = make_byte_tokenizer(template=BOS_AND_TURNS, bos="<|begin|>")
    for tokenizer in (make_byte_tokenizer(), with_bos):
        samples, left_out = read_samples(
            data, "train", saved(tmp_path, tokenizer), SETTINGS, seed=0
        )
        assert answers(tokenizer, samples) == ["last one<|end|>"]
        assert left_out == {}
    assert samples[0].input_ids.count(tokenizer.bos_token_id) == 1


def test_a_tokenizer_that_adds_bos_itself_adds_one(tmp_path):
    tokenizer = make_byte_tokenizer(bos="<|begin|>")
    data = dataset(tmp_path / "data", [[("user", "a"), ("assistant", "b")]])
    ((plain,), _) = read_samples(data, "train", saved(tmp_path, tokenizer), SETTINGS, seed=0)
    assert tokenizer.bos_token_id not in plain.input_ids
    tokenizer = make_byte_tokenizer(bos="<|begin|>", adds_bos=True)
    ((sample,), _) = read_samples(data, "train", saved(tmp_path, tokenizer), SETTINGS, seed=0)
    assert sample.input_ids == [tokenizer.bos_token_id, *plain.input_ids]
    assert sample.answer == [False, *plain.answer]


def test_a_document_is_foretold_from_its_second_token_on(documents, tmp_path):
    samples, _ = read_samples(
        documents, "train", saved(tmp_path, make_byte_tokenizer()), SETTINGS, seed=0
    )
    assert len(samples) == 8
    assert all(
        sample.answer == [False] + [True] * (len(sample.input_ids) - 1) for sample in samples
    )


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path):
    chats = [
        [("user", "good"), ("assistant", "yes")],
        [("assistant", "speaks first")],
        [("user", "nobody answers")],
        [("user", "long"), ("assistant", "x" * 100)],
    ]
    data = dataset(tmp_path / "data", chats)
    tokenizer = make_byte_tokenizer()
    samples, left_out = read_samples(
        data, "train", saved(tmp_path, tokenizer), SETTINGS, 0, whole=True
    )
    assert answers(tokenizer, samples) == ["yes<|end|>"]
    assert left_out == {"without an answer": 2, "longer than 64 tokens": 1}
    cut, left_out = read_samples(data, "train", saved(tmp_path, tokenizer), SETTINGS, 0)
    assert sorted(len(sample.input_ids) for sample in cut)[-1] == 64
    assert left_out == {"without an answer": 2}


def test_nothing_to_read_is_an_error_that_says_why(tmp_path):
    data = dataset(tmp_path / "data", [[("user", "nobody answers")]])
    with pytest.raises(InputError, match=r"split 'train' can be read \(1 without an answer\)"):
        read_samples(data, "train", saved(tmp_path, make_byte_tokenizer()), SETTINGS, 0)


def test_the_seed_draws_the_rows_whatever_their_order(tmp_path):
    chats = [[("user", str(n)), ("assistant", str(n))] for n in range(30)]
    few = CalibrationSettings(samples=10, max_length=64)
    tokenizer = make_byte_tokenizer()
    drawn = [
        answers(tokenizer, read_samples(data, "train", saved(tmp_path, tokenizer), few, seed)[0])
        for data, seed in (
            (dataset(tmp_path / "one", chats), 0),
            (dataset(tmp_path / "two", chats, shuffle=True), 0),
            (dataset(tmp_path / "three", chats), 1),
        )
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 10


def test_batches_hold_every_row_once_in_one_shape_per_width(chats, tmp_path):
    samples, _ = read_samples(chats, "train", saved(tmp_path, make_byte_tokenizer()), SETTINGS, 0)
    batches = list(make_batches(samples, SETTINGS, "cpu", {}))
    seen = [
        batch.input_ids_RT[row][batch.counted_RT[row]].tolist()
        for batch in batches
        for row in range(len(batch.input_ids_RT))
    ]
    assert sorted(ids for ids in seen if ids) == sorted(sample.input_ids for sample in samples)
    assert all(
        batch.input_ids_RT.shape[0] == 4 and batch.input_ids_RT.shape[1] % 16 == 0
        for batch in batches
    )
    assert not torch.cat([(b.answer_RT & ~b.counted_RT).flatten() for b in batches]).any()
    answer_tokens = sum(int(batch.answer_RT.sum()) for batch in batches)
    assert answer_tokens == sum(sum(sample.answer) for sample in samples)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "samples"),
        ({"batch_size": 0}, "batch_size"),
        ({"pad_to_multiple_of": 0}, "pad_to_multiple_of"),
        ({"max_length": 1}, "max_length"),
        ({"dtype": "int8"}, "one of float32"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        CalibrationSettings(**settings)

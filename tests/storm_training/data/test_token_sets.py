from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.testing import make_checkpoint
from storm_training.data.chat_tokens import ChatTokenSet, Supervised
from storm_training.data.document_tokens import DocumentTokenSet
from storm_training.data.mixing import draw
from storm_training.data.preference_tokens import PreferenceTokenSet
from storm_training.data.token_mixture import TokenMixture
from storm_training.data.token_set import TokenSet, TokenSetSpec
from storm_training.testing import make_chats


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("model"))


def text(model, ids) -> str:
    return model.tokenizer().decode(ids)


def write(folder, rows, **columns) -> Dataset:
    import pyarrow as pa

    folder.mkdir(parents=True)
    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    kinds = {"messages": message, "text": pa.string()}
    schema = pa.schema(
        [("id", pa.string())] + [(name, columns.get(name, kinds.get(name))) for name in rows[0]]
    )
    data = Dataset(folder)
    data.write("train", [{"id": str(n), **row} for n, row in enumerate(rows)], schema)
    return data


def test_chats_are_kept_whole_with_the_answers_marked(tmp_path, model):
    data = make_chats(tmp_path / "data", rows=30, validation=4)
    made = ChatTokenSet().run(make_stage(tmp_path), model, data)
    tokens = TokenSet(made.directory)
    sequences = tokens.sequences("train")
    assert len(sequences) == 30 and tokens.count("validation") == 4
    for index, row in enumerate(data.rows("train")):
        ids, loss_mask = sequences[index]
        assert text(model, ids[loss_mask]) == row["messages"][1]["content"] + "<|end|>"
    assert isinstance(sequences.parts[0][0], np.memmap)
    assert made.spec().tokens == {
        split: tokens.sequences(split).tokens() for split in ("train", "validation")
    }
    assert made.spec().tokenizer == model.tokenizer_digest()


def test_every_token_of_a_chat_may_be_learnt(tmp_path, model):
    messages = [
        {"role": "user", "content": "a", "weight": None},
        {"role": "assistant", "content": "b", "weight": None},
    ]
    rows = [
        {"id": str(n), "messages": [{**m, "weight": weight} for m in messages], "source": "test"}
        for n, weight in enumerate((None, 0.0))
    ]
    (tmp_path / "d").mkdir()
    data = Dataset(tmp_path / "d")
    data.write("train", rows, chat_schema())
    tokens = ChatTokenSet(supervised=Supervised.all).run(make_stage(tmp_path), model, data)
    ids, loss_mask = tokens.sequences("train")[0]
    assert text(model, ids) == text(model, ids[loss_mask])
    assert "user" in text(model, ids[loss_mask])
    (reason,) = tokens.dropped("train")
    assert "context only" in reason


def test_rows_that_become_no_example_are_named_with_their_reason(tmp_path, model):
    data = make_chats(tmp_path / "data", rows=2, validation=0)
    rows = list(data.rows("train"))
    rows.append(
        {
            **rows[0],
            "id": "long",
            "messages": [
                {"role": "user", "content": "x" * 400},
                {"role": "assistant", "content": "y"},
            ],
        }
    )
    rows.append({**rows[0], "id": "silent", "messages": rows[0]["messages"][:1]})
    data.write("train", rows, chat_schema())
    stage = make_stage(tmp_path)
    tokens = ChatTokenSet().run(stage, model, data)
    assert tokens.dropped("train") == {"longer than 256 tokens": 1, "nothing supervised": 1}
    lines = (stage.directory / "train.dropped.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": "long", "reason": "longer than 256 tokens"},
        {"id": "silent", "reason": "nothing supervised"},
    ]
    assert stage.metrics["dropped"] == 2


def test_two_runs_write_the_same_bytes(tmp_path, model):
    data = make_chats(tmp_path / "data")
    payloads = []
    for name in "ab":
        made = ChatTokenSet().run(make_stage(tmp_path, name), model, data)
        payloads.append({f.name: f.read_bytes() for f in made.directory.iterdir()})
    assert payloads[0] == payloads[1]


def test_documents_begin_and_end_once_and_every_token_is_learnt(tmp_path, model):
    data = write(tmp_path / "data", [{"text": "one two"}, {"text": ""}, {"text": "three"}])
    tokens = DocumentTokenSet().run(make_stage(tmp_path), model, data)
    sequences = tokens.sequences("train")
    assert [text(model, sequences[i][0]) for i in range(2)] == ["one two<|end|>", "three<|end|>"]
    assert all(sequences[i][1].all() for i in range(2))
    assert tokens.dropped("train") == {"nothing supervised": 1}


def test_a_text_cannot_spell_special_tokens_unless_it_may(tmp_path, model):
    data = write(tmp_path / "data", [{"text": "a<|end|>b"}])
    end = model.tokenizer().eos_token_id
    for allowed in (False, True):
        component = DocumentTokenSet(special_tokens=allowed)
        tokens = component.run(make_stage(tmp_path, str(allowed)), model, data)
        assert list(tokens.sequences("train")[0][0]).count(end) == 1 + allowed


def test_a_preference_supervises_the_two_answers_and_no_earlier_turn(tmp_path, model):
    import pyarrow as pa

    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    say = [
        {"role": role, "content": word}
        for role, word in (("user", "a"), ("assistant", "b"), ("user", "c"))
    ]
    answer = {word: [{"role": "assistant", "content": word}] for word in ("yes", "no")}
    rows = [
        {"prompt": say, "chosen": answer["yes"], "rejected": answer["no"]},
        {"prompt": say, "chosen": answer["no"], "rejected": answer["no"]},
    ]
    data = write(tmp_path / "d", rows, prompt=message, chosen=message, rejected=message)
    tokens = PreferenceTokenSet().run(make_stage(tmp_path), model, data)
    sequences = tokens.sequences("train")
    assert len(sequences) == 1
    assert [text(model, ids[loss_mask]) for ids, loss_mask in sequences.example(0)] == [
        "yes<|end|>",
        "no<|end|>",
    ]
    assert tokens.dropped("train") == {"chosen and rejected are the same": 1}


def test_pairs_that_are_too_long_are_cut_where_that_is_asked(tmp_path, model):
    import pyarrow as pa

    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    row = {"prompt": [{"role": "user", "content": "q" * 40}]}
    for name, word in (("chosen", "y" * 30), ("rejected", "n" * 5)):
        row[name] = [{"role": "assistant", "content": word}]
    data = write(tmp_path / "d", [row], prompt=message, chosen=message, rejected=message)
    asked = PreferenceTokenSet(max_length=24, max_prompt_length=10)
    (chosen, _), (rejected, _) = (
        asked.run(make_stage(tmp_path), model, data).sequences("train").example(0)
    )
    assert len(chosen) == 24 and len(rejected) <= 24
    assert list(chosen[:10]) == list(rejected[:10])
    assert text(model, chosen[10:]) == "y" * 14


def test_what_cannot_be_tokenised_fails_in_the_forecast():
    model, data = (
        CheckpointSpec(),
        DatasetSpec(splits={"train": [2, 3], "rejected": [1, 1]}),
    )
    assert ChatTokenSet().plan_spec(model, data).splits == {"train": [0, 3]}
    with pytest.raises(InputError, match="no chat template"):
        ChatTokenSet().plan_spec(CheckpointSpec(has_chat_template=False), data)
    DocumentTokenSet().plan_spec(CheckpointSpec(has_chat_template=False), data)
    with pytest.raises(InputError, match="no row"):
        ChatTokenSet().plan_spec(model, DatasetSpec(splits={"train": [0, 0]}))
    for component, column in (
        (ChatTokenSet(), "messages"),
        (DocumentTokenSet(), "text"),
        (PreferenceTokenSet(), "chosen"),
    ):
        with pytest.raises(InputError, match=f"no column '{column}'"):
            component.plan_spec(model, DatasetSpec(columns=["id"]))
    with pytest.raises(SettingError, match="must be at least 1"):
        ChatTokenSet(max_length=-1)


def published(store, name, make) -> TokenSet:
    """Make a token set where a store would have it, so that others can refer to it."""
    key = f"{name:0>64}"
    place = store / "artifacts" / key[:2] / key
    place.mkdir(parents=True)
    stage = make_stage(place.parent, key)
    make(stage)
    manifest = {
        "key": key,
        "component": "",
        "version": 1,
        "artifact": "TokenSet",
        "settings": {},
        "inputs": {},
        "fingerprint": None,
        "spec": {},
        "metrics": {},
        "main_metric": "",
        "files": {},
    }
    (place / "manifest.json").write_text(json.dumps(manifest))
    return TokenSet(place, key)


def test_a_mixture_refers_to_its_parts_and_holds_the_declared_shares(tmp_path, model):
    sizes = {"a": 400, "b": 700}
    parts = [
        published(
            tmp_path,
            name,
            lambda stage, name=name, size=size: DocumentTokenSet().run(
                stage,
                model,
                write(tmp_path / name, [{"text": name * (3 + i % 40)} for i in range(size)]),
            ),
        )
        for name, size in sizes.items()
    ]
    stage = make_stage(tmp_path / "artifacts" / "cc", "c" * 64)
    made = TokenMixture(shares=[7, 3], tokens=8000, seed=0).run(stage, parts)
    assert stage.references == [part.key for part in parts]
    assert stage.metrics["share_1"] == pytest.approx(0.7, abs=0.01)
    sequences = made.sequences("train")
    words = "".join(text(model, sequences[i][0]) for i in range(len(sequences)))
    words = words.replace("<|end|>", "")
    tokens = {
        n: sum(len(sequences[i][0]) for i in range(len(sequences)) if sequences.spans[i, 0] == n)
        for n in (0, 1)
    }
    assert tokens[0] / sum(tokens.values()) == pytest.approx(0.7, abs=0.01)
    assert set(words) == {"a", "b"}
    assert not list(made.directory.glob("*.input_ids.bin"))


@limits(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(1, 30), min_size=20, max_size=60), min_size=2, max_size=4),
    st.integers(0, 5000),
    st.integers(0, 9),
    st.data(),
)
def test_a_drawn_share_misses_by_half_an_example_at_most(lengths, tokens, seed, data):
    weights = [data.draw(st.integers(1, 9)) for _ in lengths]
    arrays = [np.array(each) for each in lengths]
    drawn = draw(arrays, weights, tokens, seed)
    shares = np.array(weights) / sum(weights)
    whole = tokens or min(sum(e) / s for e, s in zip(lengths, shares, strict=True))
    for part, each in enumerate(arrays):
        chosen = drawn.examples[part]
        assert drawn.tokens[part] == each[chosen].sum()
        if whole * shares[part] > 30:
            assert abs(drawn.tokens[part] - whole * shares[part]) <= 15
        times = np.bincount(chosen, minlength=len(each))
        assert times.max() - times.min() <= 1
        if not tokens:
            assert times.max() <= 1


def test_parts_that_do_not_fit_are_refused_before_anything_runs():
    one = TokenSetSpec(kind="documents", tokenizer="a")
    mixture = TokenMixture(shares=[0.7, 0.3], seed=0)
    assert mixture.plan_spec([one, one]).kind == "documents"
    assert TokenMixture(shares=[1, 1], tokens=50, seed=0).plan_spec([one, one]).tokens == {
        "train": 50
    }
    with pytest.raises(SettingError, match="there are 1 parts"):
        mixture.plan_spec([one])
    with pytest.raises(InputError, match="different tokenizers"):
        mixture.plan_spec([one, TokenSetSpec(kind="documents", tokenizer="b")])
    with pytest.raises(InputError, match="part 2 holds preference pairs"):
        mixture.plan_spec([one, TokenSetSpec(kind="preferences")])
    with pytest.raises(SettingError, match="must be above 0"):
        TokenMixture(shares=[1, 0], seed=0)


def test_a_token_set_of_an_older_format_is_named(tmp_path):
    old = {"kind": "chats", "tokenizer": "", "together": 1, "parts": [], "splits": {}}
    (tmp_path / "tokens.json").write_text(json.dumps(old))
    with pytest.raises(InputError, match="older version"):
        TokenSet(tmp_path).content()

import dataclasses
import hashlib
import itertools
import json

import pytest

from storm_exp import SettingError
from storm_exp.testing import make_stage
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_tinyworld.base_model.architecture import Architecture
from storm_tinyworld.base_model.base_model import Tinyworld
from storm_tinyworld.base_model.pretraining import loss_mask
from storm_tinyworld.base_model.pretraining_text import Mixture, pretraining_texts
from storm_tinyworld.base_model.tokenizer import build_tokenizer
from storm_tinyworld.base_model.vocabulary import END_OF_TURN
from storm_tinyworld.corpora.pool import TinyworldPool
from storm_tinyworld.corpora.sibling import TinyworldSibling
from storm_tinyworld.oracle import TinyworldOracle

SMALL = Architecture(
    hidden_size=64, layers=2, heads=2, key_value_heads=1, intermediate_size=64, positions=256
)


def base_model(**settings):
    return Tinyworld(architecture=SMALL, **{"steps": 3, "batch_size": 2, **settings})


def pool(folder, **settings):
    settings = {"rows": 120, "validation_rows": 10, "seed": 0, **settings}
    return TinyworldPool(**settings).run(make_stage(folder, "pool"))


def digests(folder):
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    return base_model().run(make_stage(tmp_path_factory.mktemp("grown")))


def test_a_base_model_is_what_was_forecast(grown):
    spec, facts = base_model().plan_spec(), grown.spec()
    assert facts.parameters == spec.parameters
    assert facts.shapes == spec.shapes
    assert facts.has_chat_template and spec.has_chat_template
    assert {name: facts.config[name] for name in spec.config} == spec.config


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(grown, tmp_path):
    again = base_model().run(make_stage(tmp_path, "again"))
    other = base_model(seed=1).run(make_stage(tmp_path, "other"))
    assert digests(again.directory) == digests(grown.directory)
    weights = "model.safetensors"
    assert digests(other.directory)[weights] != digests(grown.directory)[weights]


def test_learnt_are_what_the_assistant_says_and_right_answers_that_are_rated():
    tokenizer = build_tokenizer()
    chats = ChatRenderer(tokenizer)
    for text in itertools.islice(pretraining_texts(0, Mixture()), 300):
        (tokens,) = chats.encode([Conversation(text.chat)])
        marked = zip(tokens.ids, loss_mask(text, tokens, tokenizer), strict=True)
        shown = f"{text.shown_answer}\n" if text.shown_answer else ""
        expected = shown + text.chat[-1]["content"] + END_OF_TURN
        assert tokenizer.decode([token for token, mark in marked if mark]) == expected


def test_pretraining_lowers_the_loss(tmp_path):
    model = base_model(steps=12, learning_rate=1e-2).run(make_stage(tmp_path))
    record = json.loads((model.directory / "training.json").read_text(encoding="utf-8"))
    losses = [step["loss"] for step in record["steps"]]
    assert losses[-1] < 0.9 * losses[0]


def test_the_sibling_descends_from_the_base_model(grown, tmp_path):
    sibling = TinyworldSibling(rows=24, steps=2, batch_size=2, seed=0)
    child = sibling.run(make_stage(tmp_path, "sibling"), grown)
    assert isinstance(child, Checkpoint)
    assert child.spec().shapes == grown.spec().shapes
    assert child.spec().tokenizer == grown.spec().tokenizer
    assert (
        digests(child.directory)["model.safetensors"]
        != digests(grown.directory)["model.safetensors"]
    )


def test_an_oracle_keeps_exactly_what_is_worth_it(tmp_path):
    data = pool(tmp_path)
    oracle = TinyworldOracle(min_education=3, difficulties=["hard"], validation=0.1, seed=0)
    curated = oracle.run(make_stage(tmp_path, "oracle"), data)
    kept = [*curated.rows("train"), *curated.rows("validation")]
    expected = {
        row["id"]
        for row in data.rows("train")
        if row["truth_quality"] >= 3 and row["truth_difficulty"] == "hard"
    }
    assert {row["id"] for row in kept} == expected
    assert curated.count("rejected") == 120 - len(expected)
    assert all(row["reason"] for row in curated.rows("rejected"))


def test_a_pool_is_what_was_forecast(tmp_path):
    data = pool(tmp_path)
    spec = TinyworldPool(rows=120, validation_rows=10, seed=0).plan_spec()
    assert data.spec() == dataclasses.replace(spec, row_tokens=None)
    assert all(row["truth_corruption"] == "" for row in data.rows("validation"))


def test_a_pool_names_the_family_that_its_rows_show_and_the_rating_text_does_not(tmp_path):
    data = pool(tmp_path)
    world = json.loads((data.directory / "world.json").read_text(encoding="utf-8"))
    assert world == {"unseen_families": ["echo"]}
    assert "echo" in {row["truth_corruption"] for row in data.rows("train")}
    for text in itertools.islice(pretraining_texts(0, Mixture()), 2000):
        head, *lines = text.chat[0]["content"].splitlines()
        assert head != "Rate:" or lines[: len(lines) // 2] != lines[len(lines) // 2 : -1]


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: Architecture(hidden_size=96), "hidden_size"),
        (lambda: Architecture(key_value_heads=3), "key_value_heads"),
        (lambda: Tinyworld(mixture=Mixture(clean=1.5)), "mixture.clean"),
        (lambda: Tinyworld(sequence_length=1024), "sequence_length"),
        (lambda: TinyworldPool(rows=0, seed=0), "rows"),
        (lambda: TinyworldOracle(min_education=6, seed=0), "min_education"),
        (lambda: TinyworldOracle(difficulties=["tricky"], seed=0), "difficulties"),
        (lambda: TinyworldSibling(families={"cooking": 1.0}, seed=0), "families.cooking"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, setting):
    with pytest.raises(SettingError, match=setting.replace(".", r"\.")):
        make()

"""What a model stops at after it was taught how answers end."""

from __future__ import annotations

import json
import shutil

import pytest

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp.testing import make_stage
from storm_inference.answers import Answers
from storm_merging.methods.linear import Linear
from storm_models.chat.conversation import Conversation
from storm_models.chat.stops import add_stops, read_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.components.dpo import Dpo
from storm_training.components.sft import Sft
from storm_training.data.chat_tokens import ChatTokenSet, Supervised
from storm_training.testing import tokenise_chats
from storm_training.trainable.settings import TrainableSettings

FEW = {"sequence_length": 96, "batch_size": 4, "precision": "float32", "seed": 0}
PAD, END = 0, 1


@pytest.fixture
def base(tmp_path) -> Checkpoint:
    """A base model: it ends documents with one token, and its template ends turns with another."""
    model = make_checkpoint(tmp_path / "base", dtype="float32")
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        file = model.directory / name
        content = json.loads(file.read_text())
        known = "eos_token" if "eos_token" in content else "eos_token_id"
        content[known] = "<|pad|>" if known == "eos_token" else PAD
        file.write_text(json.dumps(content))
    return Checkpoint(model.directory)


@pytest.fixture
def chats(tmp_path) -> Dataset:
    folder = tmp_path / "chats"
    folder.mkdir()
    turns = [{"role": "user", "content": "say it"}, {"role": "assistant", "content": "ok"}]
    data = Dataset(folder)
    rows = [{"id": str(n), "messages": turns, "source": "s"} for n in range(8)]
    data.write("train", rows, chat_schema())
    return data


def test_a_tuned_base_model_stops_where_it_learnt_to_and_its_answers_are_taken(
    tmp_path, base, chats
):
    stage = make_stage(tmp_path, "tuned")
    settings = Sft(**FEW, steps=60, learning_rate=1e-2)
    tuned = settings.run(stage, base, tokenise_chats(tmp_path / "tokens", base, chats))
    assert read_stops(base.directory) == [PAD]
    generation_config = json.loads((tuned.directory / "generation_config.json").read_text())
    assert generation_config["eos_token_id"] == [PAD, END]
    record = json.loads((tuned.directory / "training.json").read_text())
    assert record["stops"] == {"before": [PAD], "learnt": ["<|end|>"], "after": [PAD, END]}
    assert tuned.load().generation_config.eos_token_id == [PAD, END]
    made = Answers(max_new_tokens=8, seed=0).run(make_stage(tmp_path, "asked"), tuned, chats)
    assert [row["messages"][-1]["content"] for row in made.rows("train")] == ["ok"] * 8
    # Our own answers stop there even for a model whose files do not say so.
    shutil.copy(base.directory / "generation_config.json", tuned.directory)
    again = Answers(max_new_tokens=8, seed=0).run(make_stage(tmp_path, "again"), tuned, chats)
    assert again.count("train") == 8


def test_where_every_token_is_learnt_the_ends_of_answers_are_known_as_well(tmp_path, base, chats):
    tokens = ChatTokenSet(supervised=Supervised.all).run(make_stage(tmp_path, "t"), base, chats)
    assert tokens.ends() == {END: 8}
    tuned = Sft(**FEW, steps=1).run(make_stage(tmp_path, "tuned"), base, tokens)
    assert read_stops(tuned.directory) == [PAD, END]


def test_low_rank_updates_and_merges_keep_what_was_learnt(tmp_path, base, chats):
    tokens = tokenise_chats(tmp_path / "tokens", base, chats)
    settings = Sft(**FEW, steps=2, trainable=TrainableSettings(method="lora"))
    tuned = settings.run(make_stage(tmp_path, "lora"), base, tokens)
    assert read_stops(tuned.directory) == [PAD, END]
    merged = Linear(weights=[0.5, 0.5]).run(make_stage(tmp_path, "merged"), [base, tuned])
    assert read_stops(merged.directory) == [PAD, END]


def test_nothing_is_touched_where_nothing_is_new(tmp_path, chats):
    model = make_checkpoint(tmp_path / "model", dtype="float32")
    tokens = tokenise_chats(tmp_path / "tokens", model, chats)
    tuned = Sft(**FEW, steps=1).run(make_stage(tmp_path), model, tokens)
    for name in ("generation_config.json", "config.json"):
        assert (tuned.directory / name).read_bytes() == (model.directory / name).read_bytes()
    assert add_stops(model.directory, [END]) == []


def test_without_a_generation_config_one_is_written_that_says_what_the_config_said(base):
    (base.directory / "generation_config.json").unlink()
    assert add_stops(base.directory, [END]) == [END]
    loaded = base.load().generation_config
    assert loaded.eos_token_id == [PAD, END] and loaded.pad_token_id == 0


def test_pairs_teach_an_ending_as_chats_do(tmp_path, base):
    from storm_data.rows.arrow_schema import preference_schema
    from storm_training.data.preference_tokens import PreferenceTokenSet

    folder = tmp_path / "pairs"
    folder.mkdir()
    data = Dataset(folder)
    turn = {"role": "user", "content": "x"}
    rows = [
        {
            "id": str(n),
            "prompt": [turn],
            "chosen": [{"role": "assistant", "content": "yes"}],
            "rejected": [{"role": "assistant", "content": "no"}],
            "source": "s",
        }
        for n in range(3)
    ]
    data.write("train", rows, preference_schema())
    tokens = PreferenceTokenSet().run(make_stage(tmp_path, "tokens"), base, data)
    assert tokens.ends() == {END: 3}
    assert Dpo(**FEW).trainable.method == "all"


def test_a_merge_of_models_with_other_templates_says_whose_it_takes(tmp_path, base, capsys):
    other = Checkpoint(shutil.copytree(base.directory, tmp_path / "other"))
    (other.directory / "chat_template.jinja").write_text("{{ messages[0].content }}")
    merged = Linear(weights=[0.5, 0.5]).run(make_stage(tmp_path, "merged"), [base, other])
    said = " ".join(capsys.readouterr().err.split())
    assert "the first model's template, arguments and date, from which those of model 2 differ" in (
        said
    )
    chat = Conversation([{"role": "user", "content": "x"}])
    assert merged.chat().text(chat) == base.chat().text(chat)

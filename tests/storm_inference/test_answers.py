from __future__ import annotations

import ast
import json
import logging
import shutil

import pytest
import torch
from transformers.utils import logging as transformers_logging

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_inference.answers import Answers
from storm_inference.engines.engine import Sampling
from storm_inference.engines.transformers_engine import TransformersEngine
from storm_inference.generation import Generator, question
from storm_inference.shards import Shards
from storm_inference.shots import Shots
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.testing import make_checkpoint

NO_SHOTS = Shots([], 0, "", 0)


def write_chats(folder, *chats) -> Dataset:
    folder.mkdir()
    data = Dataset(folder)
    rows = [
        {
            "id": str(number),
            "messages": [{"role": role, "content": content} for role, content in chat],
            "source": "test",
        }
        for number, chat in enumerate(chats)
    ]
    data.write("train", rows, chat_schema())
    return data


def write(folder, count=5) -> Dataset:
    folder.mkdir()
    data = Dataset(folder)
    for split, rows in (("train", count), ("validation", 2)):
        data.write(
            split,
            [
                {
                    "id": f"{split}{n}",
                    "messages": [
                        {"role": "user", "content": "q" * (n + 1)},
                        {"role": "assistant", "content": "old"},
                    ],
                    "source": "test",
                }
                for n in range(rows)
            ],
            chat_schema(),
        )
    return data


def test_the_model_answers_every_chat_in_place_of_the_old_answer(tmp_path, talker):
    data = write(tmp_path / "data")
    made = Answers(max_new_tokens=5, batch_size=2, shard_rows=3, seed=0).run(
        make_stage(tmp_path), talker, data
    )
    for split in ("train", "validation"):
        for old, new in zip(data.rows(split), made.rows(split), strict=True):
            assert Conversation.of(new).messages == [
                Conversation.of(old).messages[0],
                {"role": "assistant", "content": "ab"},
            ]
            assert new["id"] == old["id"]


def test_an_answer_without_an_end_is_kept_with_its_reason(tmp_path, talker):
    data = write(tmp_path / "data")
    with pytest.raises(InputError, match="does not end within 2 tokens"):
        Answers(max_new_tokens=2, seed=0).run(make_stage(tmp_path), talker, data)


def test_a_killed_stage_resumes_after_its_finished_shards(tmp_path, talker, monkeypatch):
    data, settings = write(tmp_path / "data"), Answers(max_new_tokens=5, shard_rows=2, seed=0)
    whole = settings.run(make_stage(tmp_path, "whole"), talker, data)
    stage, asked = make_stage(tmp_path, "killed"), []
    generate = Generator._generate

    def dying(self, prompts):
        asked.append(len(prompts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return generate(self, prompts)

    monkeypatch.setattr(Generator, "_generate", dying)
    with pytest.raises(KeyboardInterrupt):
        settings.run(stage, talker, data)
    resumed = settings.run(stage, talker, data)
    assert list(resumed.rows("train")) == list(whole.rows("train"))
    assert asked == [2, 2, 2, 1]  # the second died; validation has the same questions as a shard


@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_a_stage_stopped_within_a_shard_resumes_after_its_last_batch(
    temperature, tmp_path, monkeypatch
):
    model = make_checkpoint(tmp_path / "model", dtype="float32")
    data = write(tmp_path / "data", 7)
    settings = Answers(
        max_new_tokens=5, batch_size=2, temperature=temperature, unfinished=True, seed=0
    )
    whole = settings.run(make_stage(tmp_path, "whole"), model, data)
    stage, asked = make_stage(tmp_path, "stopped"), []
    generate = Generator._generate

    def dying(self, prompts):
        asked.append(len(prompts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return generate(self, prompts)

    monkeypatch.setattr(Generator, "_generate", dying)
    with pytest.raises(KeyboardInterrupt):
        settings.run(stage, model, data)
    torch.rand(5)  # other work in between
    resumed = settings.run(stage, model, data)
    assert list(resumed.rows("train")) == list(whole.rows("train"))
    assert asked == [2, 2, 2, 2, 1, 2]  # the third died; the last is the validation split's
    assert not list(stage.scratch.glob("*.journal"))


def opened(model):
    """Return the engine that the component would open."""
    ends = model.chat().ends
    return TransformersEngine(model, dtype="auto", device="cpu", batch_size=16, ends=ends)


def test_sampling_is_reproducible_with_the_seed(tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32")
    data = write(tmp_path / "data", 3)
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generator = Generator(
            model,
            Sampling(max_new_tokens=4, temperature=1.0, top_p=1.0, seed=seed),
            NO_SHOTS,
            unfinished=False,
            batch_size=16,
            open_engine=lambda: opened(model),
            shards=Shards(make_stage(tmp_path, name)),
        )
        texts.append(generator.answer(list(data.rows("train"))))
    assert texts[0] == texts[1] != texts[2]


def test_unsuitable_settings_and_inputs_are_named():
    for name, value in (
        ("max_new_tokens", 0),
        ("temperature", -1.0),
        ("top_p", 0.0),
        ("top_p", 0.9),
    ):
        with pytest.raises(SettingError) as error:
            Answers(**{name: value}, seed=0)
        assert error.value.setting == name
    with pytest.raises(InputError, match="no chat template"):
        Answers(seed=0).plan_spec(CheckpointSpec(has_chat_template=False), DatasetSpec())
    with pytest.raises(InputError, match="no column 'messages'"):
        Answers(seed=0).plan_spec(CheckpointSpec(), DatasetSpec(columns=["text"]))


def test_a_chat_that_ends_with_a_question_gets_an_answer(tmp_path, talker):
    turns = [("user", "one"), ("assistant", "old"), ("user", "two")]
    data = write_chats(tmp_path / "data", turns)
    (row,) = Answers(max_new_tokens=5, seed=0).run(make_stage(tmp_path), talker, data).rows("train")
    assert [(turn["role"], turn["content"]) for turn in row["messages"]] == [
        *turns,
        ("assistant", "ab"),
    ]


def test_unusable_questions_are_kept_with_their_reasons(tmp_path, talker, monkeypatch):
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    model = Checkpoint(shutil.copytree(talker.directory, tmp_path / "model"))
    tokenizer = model.tokenizer()
    tokenizer.chat_template = template + tokenizer.chat_template
    tokenizer.save_pretrained(model.directory)
    data = write_chats(
        tmp_path / "data",
        [("user", "fine")],
        [("system", "be"), ("user", "q")],
        [("assistant", "alone")],
        [("user", "q" * 300)],
    )
    made = run_component(Answers(max_new_tokens=5, seed=0), make_stage(tmp_path), model, data)
    assert [row["id"] for row in made.rows("train")] == ["0"]
    reasons = {row["id"]: row["reason"] for row in made.rows("rejected")}
    assert "no system" in reasons["1"]
    assert reasons["2"] == "there is no message before the answer"
    assert "leave no room for an answer in the model's 256" in reasons["3"]


def test_a_split_without_answers_is_an_error_that_counts_why(tmp_path, talker):
    data = write_chats(tmp_path / "data", [("assistant", "a")], [("assistant", "b")])
    with pytest.raises(InputError, match=r"'train'.*2 times there is no message before"):
        Answers(seed=0).run(make_stage(tmp_path, "one"), talker, data)
    with pytest.raises(InputError, match="no rows to answer"):
        Answers(seed=0).run(make_stage(tmp_path, "two"), talker, write_chats(tmp_path / "none"))


def test_sampling_parameters_of_the_model_are_not_used(tmp_path, talker):
    """A strong repetition_penalty would prevent the model's answer."""
    model = Checkpoint(shutil.copytree(talker.directory, tmp_path / "model"))
    file = model.directory / "generation_config.json"
    parameters = {"repetition_penalty": 50.0, "min_new_tokens": 4, "no_repeat_ngram_size": 1}
    file.write_text(json.dumps({**json.loads(file.read_text()), **parameters}))
    data = write_chats(tmp_path / "data", [("user", "abab")])
    (row,) = Answers(max_new_tokens=5, seed=0).run(make_stage(tmp_path), model, data).rows("train")
    assert row["messages"][-1]["content"] == "ab"


def test_sampling_is_from_all_tokens(tmp_path):
    """transformers' default is top_k=50."""
    model = make_checkpoint(tmp_path / "model", dtype="float32", initializer_range=0.001)
    generator = Generator(
        model,
        Sampling(max_new_tokens=1, temperature=1.0, top_p=1.0, seed=0),
        NO_SHOTS,
        unfinished=False,
        batch_size=16,
        open_engine=lambda: opened(model),
        shards=Shards(make_stage(tmp_path)),
    )
    drawn = set()
    for _ in range(20):
        prompts = [[7, 8]] * 16
        generator._decode = lambda tokens: ("", str(drawn.update(tokens)))
        generator._generate(prompts)
    assert len(drawn) > 100


def test_an_answer_longer_than_the_model_is_refused_at_plan_time():
    model = CheckpointSpec(config={"max_position_embeddings": 256})
    with pytest.raises(SettingError, match="256 positions"):
        Answers(max_new_tokens=256, seed=0).plan_spec(model, DatasetSpec())


def test_the_cost_counts_questions_and_answers(talker):
    data = DatasetSpec(splits={"train": [10, 10]}, row_tokens=30)
    cost = Answers(max_new_tokens=20, seed=0).cost(talker.spec(), data)
    assert cost.tokens == 10 * 50 and cost.flops > 0 and cost.memory > 0


def test_a_tokenizer_without_end_and_padding_is_no_obstacle(tmp_path, talker):
    data = write(tmp_path / "data", count=3)
    expected = Answers(max_new_tokens=5, seed=0).run(make_stage(tmp_path, "whole"), talker, data)
    folder = shutil.copytree(talker.directory, tmp_path / "lacking")
    file = folder / "tokenizer_config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in content.items() if k[4:] != "token"}))
    model = Checkpoint(folder)
    assert model.tokenizer().pad_token is None and model.tokenizer().eos_token is None
    made = Answers(max_new_tokens=5, seed=0).run(
        make_stage(tmp_path, "lacking-answers"), model, data
    )
    assert list(made.rows("train")) == list(expected.rows("train"))


def test_an_answer_does_not_depend_on_the_rest_of_its_batch(tmp_path, monkeypatch):
    """LongRoPE's factors change with the length: a long row must not affect a short one."""
    rope = {
        "rope_type": "longrope",
        "short_factor": [1.0] * 4,
        "long_factor": [1.0, 3.0, 9.0, 30.0],
        "original_max_position_embeddings": 48,
        "factor": 4.0,
        "rope_theta": 10000.0,
    }
    model = make_checkpoint(
        tmp_path / "model",
        "phi3",
        dtype="float32",
        initializer_range=0.15,
        original_max_position_embeddings=48,
        rope_parameters=rope,
    )
    asked = [f"tell me a long tale of it {number}" for number in range(4)] + ["a b c d e" * 12]
    data = write_chats(tmp_path / "data", *[[("user", text)] for text in asked])
    monkeypatch.setattr(Generator, "_decode", lambda self, tokens: (repr(tokens), ""))

    def answers(rows):
        stage = make_stage(tmp_path / str(rows), "answers")
        made = Answers(max_new_tokens=40, unfinished=True, batch_size=rows, seed=0).run(
            stage, model, data
        )
        return [row["messages"][-1]["content"] for row in made.rows("train")]

    texts = answers(1)
    assert answers(16) == texts
    network, chat = model.load(), model.chat()
    for row, answer in zip(data.rows("train"), texts, strict=True):
        (prompt,) = chat.prompts([question(row)])
        ids = list(prompt)
        for _ in range(len(ast.literal_eval(answer))):
            logits = network(torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
        assert ids[len(prompt) :] == ast.literal_eval(answer), "differs without a KV cache"


def test_transformers_warns_of_nothing_when_it_answers(talker, caplog, monkeypatch):
    """Whatever it warns of once, and was told by its configuration to keep to itself."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    monkeypatch.setattr(transformers_logging.get_logger(), "level", logging.INFO)
    transformers_logging.get_logger().warning_once.cache_clear()
    engine = TransformersEngine(talker, dtype="float32", device="cpu", batch_size=2)
    with caplog.at_level(logging.INFO):
        for temperature in (0.0, 0.7):
            engine.generate([[5, 6], [5]], Sampling(max_new_tokens=2, temperature=temperature))
    assert [record.getMessage() for record in caplog.records] == []

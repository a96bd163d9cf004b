from __future__ import annotations

import itertools

import pytest
import torch

from storm_data.dataset import Dataset, DatasetForecast, chat_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_inference.answering import _Asker
from storm_inference.answers import Answers
from storm_models.checkpoint import Checkpoint, CheckpointForecast
from storm_models.testing import make_checkpoint


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    """A model that spells "ab" and ends its turn, whatever it is asked."""
    folder = tmp_path_factory.mktemp("talker")
    model = make_checkpoint(folder, dtype="float32", num_hidden_layers=1)
    tokenizer, network = model.tokenizer(), model.load("float32")
    chain = [
        tokenizer.convert_tokens_to_ids(token) for token in ("<|assistant|>", "a", "b", "<|end|>")
    ]
    with torch.no_grad():
        for block in network.model.layers:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        network.lm_head.weight.zero_()
        for current, following in itertools.pairwise(chain):
            direction = network.model.embed_tokens.weight[current]
            network.lm_head.weight[following] += 100 * direction / direction.norm()
    network.save_pretrained(folder)
    return Checkpoint(folder)


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
    made = Answers(new_tokens=5, batch_rows=2, shard_rows=3, seed=0).run(
        make_stage(tmp_path), talker, data
    )
    for split in ("train", "validation"):
        for old, new in zip(data.rows(split), made.rows(split), strict=True):
            assert new["messages"] == [
                old["messages"][0],
                {"role": "assistant", "content": "ab"},
            ]
            assert new["id"] == old["id"]


def test_an_answer_without_an_end_is_kept_with_its_reason(tmp_path, talker):
    data = write(tmp_path / "data")
    with pytest.raises(InputError, match="does not end within 2 tokens"):
        Answers(new_tokens=2, seed=0).run(make_stage(tmp_path), talker, data)


def test_a_killed_stage_goes_on_after_its_finished_shards(tmp_path, talker, monkeypatch):
    data, settings = write(tmp_path / "data"), Answers(new_tokens=5, shard_rows=2, seed=0)
    whole = settings.run(make_stage(tmp_path, "whole"), talker, data)
    stage, asked = make_stage(tmp_path, "killed"), []
    generate = _Asker._generate

    def dying(self, prompts):
        asked.append(len(prompts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return generate(self, prompts)

    monkeypatch.setattr(_Asker, "_generate", dying)
    with pytest.raises(KeyboardInterrupt):
        settings.run(stage, talker, data)
    resumed = settings.run(stage, talker, data)
    assert list(resumed.rows("train")) == list(whole.rows("train"))
    assert asked == [2, 2, 2, 1]  # the second died; validation asks what was asked before


def test_drawing_repeats_itself_with_the_seed(tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32")
    data = write(tmp_path / "data", 3)
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        asker = _Asker(
            Answers(new_tokens=4, temperature=1.0, seed=seed), make_stage(tmp_path, name), model
        )
        texts.append(asker.ask(list(data.rows("train"))))
    assert texts[0] == texts[1] != texts[2]


def test_what_cannot_work_is_named():
    for name, value in (("new_tokens", 0), ("temperature", -1.0), ("top_p", 0.0), ("top_p", 0.9)):
        with pytest.raises(SettingError) as error:
            Answers(**{name: value}, seed=0)
        assert error.value.setting == name
    with pytest.raises(InputError, match="no chat template"):
        Answers(seed=0).forecast(CheckpointForecast(has_chat_template=False), DatasetForecast())
    with pytest.raises(InputError, match="no column 'messages'"):
        Answers(seed=0).forecast(CheckpointForecast(), DatasetForecast(columns=["text"]))

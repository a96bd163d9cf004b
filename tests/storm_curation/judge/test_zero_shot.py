import dataclasses
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from storm_curation.judge.rubric import Question, judge_chat
from storm_curation.judge.settings import Overlong
from storm_data.dataset import DatasetSpec
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_inference import shards
from storm_inference.label_scorer import LabelScorer
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.folder.tokenizer import FOLDERS


def digests(folder):
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}


@pytest.fixture
def judged(tmp_path, checkpoint, write_data, make_judge):
    def judged(rows, name="judge", columns=None, **settings):
        data = write_data(rows, f"{name}-data", **(columns or {}))
        stage = make_stage(tmp_path, name)
        return make_judge(**settings).run(stage, checkpoint, data), stage

    return judged


def test_scores_are_the_models_own_next_token_probabilities(judged, checkpoint, make_judge, rows):
    scores, _ = judged(rows)
    model, tokenizer, judge = checkpoint.load(), checkpoint.tokenizer(), make_judge()
    found = list(scores.rows())
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    for row, score in list(zip(rows, found, strict=True))[::7]:
        for name, question in judge.questions().items():
            chat = judge_chat(judge.head, judge.example, question.text, row["messages"])
            ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double()
            answers = tokenizer.convert_tokens_to_ids(question.answers)
            raw = logits.softmax(-1)[answers]
            shares = raw / raw.sum()
            labels = question.scale()
            assert score[f"{name}_mass"] == pytest.approx(raw.sum().item(), abs=1e-5)
            for label, share in zip(labels, shares.tolist(), strict=True):
                assert score[f"{name}_p_{label}"] == pytest.approx(share, abs=1e-5)
            expected = (shares @ torch.tensor(question.values(), dtype=torch.double)).item()
            assert score[f"{name}_expected"] == pytest.approx(expected, abs=1e-4)
            assert score[f"{name}_label"] == labels[shares.argmax()]


def test_only_the_training_rows_are_judged(judged, rows):
    scores, stage = judged(rows)
    assert stage.metrics["rows_judged"] == len(rows) == scores.spec().rows[0]


def test_rows_that_cannot_be_judged_have_a_reason_and_no_label(judged, rows):
    rows[1]["messages"] = rows[1]["messages"][:1]
    rows[2]["messages"][1]["content"] = "fine<|end|><|assistant|>5"
    rows[3]["messages"][1]["content"] = "y" * 1000
    scores, _ = judged(rows, overlong=Overlong.refuse)
    found = list(scores.rows())
    assert [row["status"] for row in found[:5]] == [
        "ok",
        "no_response",
        "special_token",
        "too_long",
        "ok",
    ]
    assert all(row["education_label"] is None and row["problem"] for row in found[1:4])
    assert scores.summary()["statuses"] == {
        "no_response": 1,
        "ok": 27,
        "special_token": 1,
        "too_long": 1,
    }


def test_a_bad_row_costs_its_neighbours_nothing(judged, rows):
    whole, _ = judged(rows[:8])
    broken = [dict(row) for row in rows[:8]]
    broken[5]["messages"] = []
    partial, _ = judged(broken, "partial")
    pairs = list(zip(whole.rows(), partial.rows(), strict=True))
    for good, other in pairs[:5] + pairs[6:]:
        assert good["education_expected"] == pytest.approx(other["education_expected"], abs=1e-5)


def test_a_long_example_is_shortened_and_what_was_judged_is_recorded(judged, rows):
    rows[3]["messages"][1]["content"] = "y" * 5000
    scores, _ = judged(rows)
    found = list(scores.rows())
    assert found[3]["status"] == "ok"
    assert found[3]["tokens_in_all"] == 5000 + len("Q:add 3\nA:")
    assert 100 < found[3]["tokens_judged"] < 200
    assert found[4]["tokens_judged"] == found[4]["tokens_in_all"] == len("Q:add 4\nA:xxxxx")
    assert scores.summary()["shortened"] == 1


def test_truth_never_enters_a_prompt(judged, rows):
    columns = {
        "truth_quality": "double",
        "truth_difficulty": "string",
        "truth_corruption": "string",
    }
    for i, row in enumerate(rows):
        row |= {
            "truth_quality": float(i % 5 + 1),
            "truth_difficulty": "hard",
            "truth_corruption": "typo" if i % 5 < 2 else "",
        }
    with_truth, stage = judged(rows, "with", columns)
    without, _ = judged([{k: row[k] for k in ("id", "messages", "source")} for row in rows])
    assert with_truth.table() == without.table()
    truth = with_truth.summary()["truth"]
    assert stage.main_metric == "auc" and stage.metrics["auc"] == truth["auc"]
    assert truth["good_from"] == 3 and (truth["good"], truth["bad"]) == (18, 12)
    assert truth["families"]["typo"]["rows"] == 12 and truth["clean"] == 18
    assert sum(truth["difficulty"]["given_by_true"]["hard"].values()) == 30
    assert "truth" not in without.summary()


def test_the_same_rows_give_the_same_bits(judged, rows):
    _, first = judged(rows, "first")
    _, second = judged(rows, "second")
    assert digests(first.directory) == digests(second.directory)


KILLED = """
import os, pathlib, pickle, signal, sys
from storm_data.dataset import Dataset
from storm_exp.testing import make_stage
from storm_inference import shards
from storm_models.checkpoint.checkpoint import Checkpoint
settings, model, data, folder = pickle.load(open(sys.argv[1], "rb"))
publish, done = shards._publish, []
def publish_two(file, judgements):
    if len(done) == 2:
        file.with_suffix(".partial-0").write_text("[{")
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(publish(file, judgements))
shards._publish = publish_two
settings.run(make_stage(pathlib.Path(folder), "judge"), Checkpoint(model), Dataset(data))
"""


@pytest.mark.slow
def test_a_killed_judge_goes_on_and_yields_the_bits_of_an_undisturbed_one(
    tmp_path, checkpoint, write_data, make_judge, rows, monkeypatch
):
    data, settings = write_data(rows), make_judge()
    whole = make_stage(tmp_path / "whole", "judge")
    settings.run(whole, checkpoint, data)
    order = tmp_path / "order.pickle"
    order.write_bytes(
        pickle.dumps((settings, checkpoint.directory, data.directory, str(tmp_path / "killed")))
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(order)], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL

    stage = make_stage(tmp_path / "killed", "judge")
    assert len(list(stage.scratch.glob("*.json"))) == 2
    again = []
    publish = shards._publish
    monkeypatch.setattr(shards, "_publish", lambda *a: again.append(publish(*a)))
    settings.run(stage, checkpoint, data)
    assert len(again) == 2
    assert digests(stage.directory) == digests(whole.directory)


def test_a_judge_stopped_within_a_shard_goes_on_after_its_last_batch(
    tmp_path, checkpoint, write_data, make_judge, rows, monkeypatch
):
    data, settings = write_data(rows), make_judge(shard_rows=1024, batch_size=2)
    whole = make_stage(tmp_path, "whole")
    settings.run(whole, checkpoint, data)
    stage, computed = make_stage(tmp_path, "stopped"), []
    score = LabelScorer._score_batch

    def dying(self, *batch):
        computed.append(len(batch))
        if len(computed) == 4:
            raise KeyboardInterrupt
        return score(self, *batch)

    monkeypatch.setattr(LabelScorer, "_score_batch", dying)
    with pytest.raises(KeyboardInterrupt):
        settings.run(stage, checkpoint, data)
    (journal,) = stage.scratch.glob("*.journal")
    with journal.open("a") as stream:
        stream.write("[[0.5")  # a kill cut the next line short
    settings.run(stage, checkpoint, data)
    batches = len(computed) - 1
    assert batches >= 4  # three before, the others after, none twice
    settings.run(make_stage(tmp_path, "again"), checkpoint, data)
    assert len(computed) == 1 + 2 * batches
    assert digests(stage.directory) == digests(whole.directory)
    assert not journal.exists()


def test_a_finished_judge_needs_no_model_and_a_damaged_shard_is_judged_again(
    tmp_path, checkpoint, write_data, make_judge, rows, monkeypatch
):
    data, settings = write_data(rows), make_judge()
    stage = make_stage(tmp_path, "judge")
    settings.run(stage, checkpoint, data)
    before = digests(stage.directory)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "load", lambda *a: pytest.fail("the model was loaded"))
        settings.run(stage, checkpoint, data)
    shard = sorted(stage.scratch.glob("*.json"))[0]
    shard.write_text(shard.read_text()[:100])
    settings.run(stage, checkpoint, data)
    assert digests(stage.directory) == before


def test_nothing_of_the_run_is_in_the_payload(judged, rows, tmp_path):
    _, stage = judged(rows)
    assert sorted(digests(stage.directory)) == ["scores.parquet", "summary.json"]
    text = (stage.directory / "summary.json").read_text()
    assert str(tmp_path) not in text and "second" not in text
    json.loads(text)


def test_an_empty_split_is_an_error(judged):
    with pytest.raises(InputError, match="nothing to judge"):
        judged([])


def test_no_judgement_at_all_is_an_error_that_counts_the_reasons(judged, rows):
    for row in rows:
        row["messages"] = row["messages"][:1]
    with pytest.raises(InputError, match=r"none of the 30 rows .* 30 × no_response"):
        judged(rows)


def test_an_answer_of_two_tokens_is_an_error_before_the_model_loads(judged, rows, monkeypatch):
    monkeypatch.setattr(Checkpoint, "load", lambda *a: pytest.fail("the model was loaded"))
    with pytest.raises(SettingError, match=r"difficulty\.answers='hard'"):
        judged(rows, difficulty=Question(text="?", answers=["e", "hard"]))


def test_a_rubric_that_fills_the_prompt_is_an_error(judged, rows):
    with pytest.raises(SettingError, match="max_length=10: leaves no room"):
        judged(rows, max_length=10)


@pytest.mark.parametrize("max_length", [1024, 4000])
def test_a_rubric_that_the_model_cannot_read_is_refused_at_plan_time(
    make_judge, checkpoint, max_length
):
    spec = checkpoint.spec()
    config = {**spec.config, "max_position_embeddings": 96}
    judge = make_judge(max_length=max_length, head="Rate what it is worth. " * 30)
    with pytest.raises(SettingError) as error:
        judge.plan_spec(dataclasses.replace(spec, config=config), DatasetSpec())
    assert error.value.setting == "head"
    assert "since the model has 96 positions: shorten head" in str(error.value)
    judge.plan_spec(dataclasses.replace(spec, tokenizer="of nobody", config=config), DatasetSpec())


def test_a_rubric_is_checked_with_the_tokenizer_of_a_kept_model(
    make_judge, checkpoint, monkeypatch
):
    spec = CheckpointSpec.from_json(checkpoint.spec().to_json())
    judge = make_judge(max_length=100, head="Rate what it is worth. " * 30)
    monkeypatch.delitem(FOLDERS, spec.tokenizer)
    judge.plan_spec(spec, DatasetSpec())
    spec.note_files(checkpoint.directory)
    with pytest.raises(SettingError, match="max_length=100: leaves no room"):
        judge.plan_spec(spec, DatasetSpec())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_length": 0}, "max_length"),
        ({"batch_size": 0}, "batch_size"),
        ({"example": "{instruction}"}, "example"),
        ({"education": Question(answers=["a", "b"])}, "education.labels"),
        ({"education": Question(answers=["2", "1"])}, "education.labels"),
        ({"difficulty": Question(answers=["a"])}, "difficulty.answers"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_plan_time(make_judge, settings, named):
    with pytest.raises(SettingError) as raised:
        make_judge(**settings)
    assert raised.value.setting == named


def test_the_forecast_knows_scales_and_rows_and_refuses_what_cannot_be_asked(make_judge):
    judge = make_judge()
    data = DatasetSpec(splits={"train": [3, 9]}, columns=["id"])
    spec = judge.plan_spec(CheckpointSpec(), data)
    assert spec.scales == {
        "education": ["1", "2", "3", "4", "5"],
        "difficulty": ["easy", "medium", "hard"],
    }
    assert spec.rows == [3, 9]
    with pytest.raises(InputError, match="no chat template"):
        judge.plan_spec(CheckpointSpec(has_chat_template=False), data)
    with pytest.raises(InputError, match="no split 'train'"):
        judge.plan_spec(CheckpointSpec(), DatasetSpec(splits={"validation": [1, 1]}))


def test_judging_costs_a_pass_over_rows_as_long_as_they_are_said_to_be(make_judge, checkpoint):
    judge, model = make_judge(), checkpoint.spec()
    long = judge.cost(model, DatasetSpec(splits={"train": [3, 9]}))
    assert long.tokens == 9 * 200
    assert long.assumes == "rows of 200 tokens"
    short = judge.cost(model, DatasetSpec(splits={"train": [3, 9]}, row_tokens=20.0))
    assert 9 * 20 < short.tokens < 9 * 30
    assert short.flops < long.flops
    assert judge.cost(CheckpointSpec(), DatasetSpec()) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_position_embeddings": 96}, "the model has 96 positions"),
        ({"model_type": "mistral", "sliding_window": 96}, "a window of 96 tokens"),
    ],
)
def test_prompts_are_fitted_into_what_the_model_can_read(
    tmp_path, checkpoint, write_data, make_judge, rows, capsys, change, said
):
    folder = tmp_path / "narrow"
    shutil.copytree(checkpoint.directory, folder)
    config = json.loads((folder / "config.json").read_text())
    if "model_type" in change:
        change = {**change, "architectures": ["MistralForCausalLM"]}
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    rows[3]["messages"] = [
        {"role": "user", "content": "add 3"},
        {"role": "assistant", "content": "x" * 300},
    ]
    data, stage = write_data(rows), make_stage(tmp_path, "judge")
    scores = list(make_judge(max_length=200).run(stage, Checkpoint(folder), data).rows())
    assert {score["status"] for score in scores} == {"ok"}
    assert scores[3]["tokens_judged"] < 96 < scores[3]["tokens_in_all"]
    assert f"prompts have at most 96 tokens: {said}" in " ".join(capsys.readouterr()).replace(
        "layers of the model attend through ", ""
    )

"""TinyLlama: what the full size would be, and the miniature's graph run small."""

import itertools
import json
import math

import pytest

from end_to_end.workplace import Workplace
from storm_evaluation.report.learning_curve import longest_line
from storm_exp.report import RunRecord
from storm_models.checkpoint.surgery import meta_shapes
from storm_training.data.chat_tokens import Supervised
from storm_training.optim.schedule import learning_rate
from storm_training.optim.settings import Decayed

SMALL = [
    "base_model@tokenizer=tinyworld/smoke",
    "evaluator=tinyworld/smoke",
    "evaluator.limit=2",
    "base_model.config.hidden_size=64",
    "base_model.config.num_hidden_layers=2",
    "base_model.config.num_attention_heads=2",
    "base_model.config.num_key_value_heads=1",
    *(f"{stage}.{split}=30" for stage in ("text", "code") for split in ("rows", "validation_rows")),
    *(f"{stage}.rows=24" for stage in ("dataset", "pairs")),
    *(f"{stage}.validation_rows=4" for stage in ("dataset", "pairs")),
    "mixture.tokens=2000",
    "finetuner.steps=2",
    "aligner.steps=2",
]
EPOCHS = ("epoch_1", "epoch_2", "epoch_3")


def test_the_full_size_is_tinyllamas(planned):
    nodes = planned("recipe=tinyllama_1_1b")
    spec = nodes["base_model"].spec
    assert spec.parameters == 1_100_048_384
    assert spec.parameters == sum(map(math.prod, meta_shapes(spec.config).values()))
    assert {nodes[name].spec.parameters for name in (*EPOCHS, "finetuner", "aligner")} == {
        1_100_048_384
    }


def test_three_epochs_of_950_b_tokens_follow_the_authors_schedule(planned):
    nodes = planned("recipe=tinyllama_1_1b")
    assert nodes["mixture"].spec.tokens == {"train": 950_000_000_000}
    settings = [nodes[name].settings for name in EPOCHS]
    tokens = {s.sequence_length * s.batch_size * s.gradient_accumulation_steps for s in settings}
    assert tokens == {2048 * 1024}
    steps = 1_430_512 // 3
    rates = [[learning_rate(n, steps, s) for n in (0, steps // 2, steps - 1)] for s in settings]
    assert rates[0][0] < 1e-6
    assert rates[2][2] == pytest.approx(4e-5, rel=1e-3)
    for before, after in itertools.pairwise(rates):
        assert before[2] == pytest.approx(after[0], rel=1e-3)
    halfway = 4e-5 + 3.6e-4 * (1 + math.cos(math.pi / 2)) / 2
    assert rates[1][1] == pytest.approx(halfway, rel=0.01)


def test_it_starts_and_decays_as_the_authors_did(planned):
    for recipe, size, layers in (("tinyllama_1_1b", 2048, 22), ("tinyllama", 128, 4)):
        nodes = planned(f"recipe={recipe}")
        new = nodes["base_model"].settings
        narrow = new.config["initializer_range"] * new.residual_gain
        assert narrow == pytest.approx(1 / math.sqrt(size) / layers, rel=2e-3)
        for name in EPOCHS:
            settings = nodes[name].settings
            assert (settings.weight_decay, settings.decayed) == (0.1, Decayed.all)


def test_it_is_tuned_and_aligned_as_zephyr_was(planned):
    nodes = planned("recipe=tinyllama_1_1b")
    assert nodes["tokens"].settings.supervised is Supervised.all
    pairs = nodes["pair_tokens"].settings
    assert (pairs.max_length, pairs.max_prompt_length) == (1024, 512)
    assert {nodes[name].settings.beta2 for name in ("finetuner", "aligner")} == {0.999}


def test_text_and_code_share_the_tokens_seven_to_three(planned):
    for recipe in ("tinyllama", "tinyllama_1_1b"):
        assert planned(f"recipe={recipe}")["mixture"].settings.shares == [7, 3]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = Workplace(tmp_path_factory.mktemp("tinyllama"))
    place.run("recipe=tinyllama", *SMALL)
    return RunRecord.read((place.folder / "outputs/latest").resolve())


@pytest.mark.slow
def test_every_stage_of_the_miniature_runs_and_is_evaluated_in_line(run):
    (cell,) = run.cells
    assert {stage.status for stage in cell.stages} == {"made"}
    evaluations = {s.key: s.read("evaluation.json") for s in cell.of_type("Evaluation")}
    line = longest_line(cell, evaluations)
    assert [stage.stage for stage, _, _ in line] == [*EPOCHS, "finetuner", "aligner"]
    assert "Learning curve" in (run.directory / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_epoch_begins_with_the_loss_at_which_the_one_before_ended(run):
    logs = [
        json.loads((run.directory / name / "training.json").read_text(encoding="utf-8"))
        for name in EPOCHS
    ]
    for before, after in itertools.pairwise(logs):
        assert after["validation"][0]["loss"] == pytest.approx(before["validation"][-1]["loss"])
    assert logs[-1]["validation"][-1]["loss"] < logs[0]["validation"][0]["loss"]


def test_no_text_of_the_web_ends_a_document_by_spelling_its_end(planned):
    nodes = planned("recipe=tinyllama_1_1b")
    assert not nodes["text_tokens"].settings.special_tokens
    assert not nodes["code_tokens"].settings.special_tokens

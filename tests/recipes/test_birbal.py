"""Birbal: what the full size would be, and the miniature's graph run small."""

import math

import pytest

from end_to_end.workplace import Workplace
from storm_models.checkpoint.surgery import meta_shapes
from storm_models.estimate.estimate import Estimate

SMALL = [
    "base_model=tinyworld/smoke",
    "dataset=tinyworld/smoke",
    "judge=tinyworld/smoke",
    "evaluator=tinyworld/smoke",
    "evaluator.limit=2",
    "curator.train_rows=20",
    "finetuner.steps=2",
]


def test_the_full_size_tunes_mistral_7b_on_200_k_of_5_m_examples(planned):
    nodes = planned("recipe=birbal_7b")
    spec = nodes["base_model"].spec
    assert spec.parameters == 7_241_732_096
    assert spec.parameters == sum(map(math.prod, meta_shapes(spec.config).values()))
    assert nodes["dataset"].spec.splits["train"][1] > 5_000_000
    assert nodes["curator"].spec.splits["train"] == [1, 200_000]
    assert nodes["curator"].spec.likely_rows() == 200_000


def test_one_card_of_40_gb_tunes_it_within_a_day(plan):
    bill = Estimate(plan("recipe=birbal_7b", "runtime.accelerator=a100_40"))
    bill.check()
    (cost,) = (cost for node, cost in bill.costs if node.label == "finetuner")
    assert 0 < bill.hours(cost) < 24


def test_the_graph_is_storms_without_judge_and_merge(planned):
    for recipe in ("birbal", "birbal_7b"):
        stages = {label.partition("[")[0] for label in planned(f"recipe={recipe}")}
        storm = {label.partition("[")[0] for label in planned("recipe=storm")}
        unused = {"judge", "scanner", "partner", "merger", "compressor", "hub", "gguf", "ollama"}
        assert stages == storm - unused | {"attempts"}


def test_the_judge_s_choice_is_one_word_away(planned):
    curators = {"birbal": "tinyworld/budget", "birbal_7b": "birbal/highest_value"}
    for recipe, curator in curators.items():
        nodes = planned(f"recipe={recipe}", f"curator={curator}")
        assert "judge" in nodes and "attempts" not in nodes
        assert (
            nodes["curator"].spec.splits["train"]
            == planned(f"recipe={recipe}")["curator"].spec.splits["train"]
        )


def test_it_is_tuned_as_its_authors_did(planned):
    settings = planned("recipe=birbal_7b")["finetuner"].settings
    assert (settings.beta2, settings.neftune, settings.keep) == (0.999, 5.0, "best")
    assert settings.validation_every == 64


@pytest.mark.slow
def test_the_miniature_curates_to_the_budget_and_tunes_once(tmp_path):
    place = Workplace(tmp_path / "work")
    place.run("recipe=birbal", *SMALL)
    made = {stage["stage"]: stage for stage in place.stages()}
    assert made["curator"]["metrics"]["train_rows"] == 20
    assert made["finetuner"]["metrics"]["steps"] == 2
    assert place.made()["evaluator"] == 2

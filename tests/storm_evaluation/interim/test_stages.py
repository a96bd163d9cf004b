"""The stages that `evaluation.every` adds to a recipe."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.interim.section import EvaluationSection
from storm_exp import ComposeError, PlanError, SettingError
from storm_exp.testing import plan
from storm_models.sources.hub import Hub
from storm_training.components.dpo import Dpo
from storm_training.components.sft import Sft


def recipe(**changes: Any) -> DictConfig:
    """Return a composed recipe: a model, two trainings, their evaluation and a card's."""
    stages: dict[str, Any] = {
        "evaluator": OmegaConf.structured(LmEval(tasks=["arc_easy"])),
        "base_model": OmegaConf.structured(Hub(repo="a/b")),
        "finetuner": OmegaConf.structured(Sft(steps=400, seed=0)),
        "aligner": OmegaConf.structured(Dpo(steps=100, seed=0)),
    }
    graph = {
        "evaluator": {"model": ["base_model", "finetuner", "aligner"]},
        "finetuner": {"model": "base_model", "tokens": "tokens"},
        "aligner": {"model": "finetuner", "tokens": "pairs", "reference": "reference"},
    }
    config = OmegaConf.create({"graph": graph, "targets": [], **stages})
    for path, value in changes.items():
        OmegaConf.update(config, path.replace("__", "."), value)
    return config


def expanded(config: DictConfig, **settings: Any) -> DictConfig:
    EvaluationSection(**settings).expand(config)
    return config


def test_a_training_is_followed_by_its_models_and_the_evaluator_is_last():
    config = expanded(recipe(), every=40)
    names = [name for name in config if name not in ("graph", "targets", "base_model")]
    assert names == [
        "finetuner",
        *(f"finetuner_step_{step}" for step in range(360, 0, -40)),
        *("aligner", "aligner_step_80", "aligner_step_40"),
        "evaluator_interim",
        "evaluator",
    ]
    assert config.graph.aligner_step_40 == config.graph.aligner
    assert config.graph.evaluator.model == ["base_model", "finetuner", "aligner"]
    assert list(config.graph.evaluator_interim.model[-2:]) == ["aligner_step_40", "aligner_step_80"]
    assert config.aligner_step_40.stop_after == 40 and config.aligner.stop_after is None
    assert config.aligner_step_40.keep_every == config.aligner.keep_every == 40
    assert OmegaConf.get_type(config._get_node("aligner_step_40")) is Dpo


def test_nothing_is_added_by_default_and_nothing_twice():
    assert expanded(recipe()) == recipe()
    once = expanded(recipe(), every=40)
    again = expanded(OmegaConf.create(once), every=40)
    assert again == once and list(again) == list(once)


def test_trainings_can_be_named():
    config = expanded(recipe(), every=200, trainings=["finetuner"])
    assert list(config.graph.evaluator_interim.model) == ["finetuner_step_200"]
    assert config.aligner.keep_every is None


def test_epochs_are_for_trainings_of_epochs():
    config = recipe(finetuner__steps=None, finetuner__epochs=2.0)
    expanded(config, every=50, every_epochs=0.5)
    assert list(config.graph.evaluator_interim.model) == [
        "finetuner_epoch_0_5",
        "finetuner_epoch_1",
        "finetuner_epoch_1_5",
        "aligner_step_50",
    ]
    assert config.finetuner_epoch_1_5.stop_after_epochs == 1.5


def test_a_training_that_stops_is_evaluated_before_it_does():
    config = expanded(recipe(finetuner__stop_after=90), every=40, trainings=["finetuner"])
    models = list(config.graph.evaluator_interim.model)
    assert models == ["finetuner_step_40", "finetuner_step_80"]


def test_targets_include_the_evaluations():
    config = expanded(recipe(targets=["aligner"]), every=50, trainings=["aligner"])
    assert list(config.targets) == ["aligner", "evaluator_interim"]


@pytest.mark.parametrize(
    ("changes", "settings", "problem"),
    [
        ({}, {"every": 0}, "every=0"),
        ({}, {"every": -5}, "every=-5"),
        ({}, {"every_epochs": 0}, "every_epochs=0"),
        ({}, {"every": 100}, r"below aligner.steps=100.*evaluation.trainings=\[finetuner\]"),
        ({}, {"every": 1, "trainings": ["finetuner"]}, "gives 399 models of finetuner"),
        ({}, {"every_epochs": 1.0}, "finetuner.steps=400 sets its length: give evaluation.every"),
        ({}, {"every": 10, "trainings": ["finetune"]}, "did you mean 'finetuner'"),
        ({}, {"every": 10, "trainings": ["base_model"]}, "not a training whose model is evaluated"),
        (
            {"aligner__steps": None},
            {"every": 10},
            "give evaluation.every_epochs, too, or aligner.steps",
        ),
        (
            {"aligner__steps": None},
            {"every": 10, "every_epochs": 1.0},
            "every_epochs=1.0: must be below aligner.epochs=1",
        ),
        (
            {"aligner__patience": 2, "aligner__validation_every": 5},
            {"every": 10},
            "aligner.patience=2 may end it before",
        ),
        (
            {"finetuner_step_40": OmegaConf.structured(Sft(steps=40, seed=0))},
            {"every": 40},
            "the recipe has a stage finetuner_step_40, which is not of finetuner",
        ),
        ({"graph__aligner": None}, {"every": 100, "trainings": ["aligner"]}, "not a training"),
        (
            {"graph__evaluator__model": ["base_model"]},
            {"every": 10},
            "no evaluator of this recipe scores the model of a training",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(changes, settings, problem):
    with pytest.raises(SettingError, match=problem):
        expanded(recipe(**changes), **settings)


def test_no_key_of_the_recipe_changes(tmp_path):
    words = ("recipe=smoke", "evaluator.limit=2")
    before = {node.label: node.key for node in plan(tmp_path, *words).nodes.values()}
    after = plan(tmp_path, *words, "evaluation.every=2")
    assert before.items() <= {node.label: node.key for node in after.nodes.values()}.items()
    added = [node.label for node in after.to_make() if node.label not in before]
    assert added == [
        "partner_step_2",
        "evaluator_interim[partner_step_2]",
        "finetuner_step_2",
        "evaluator_interim[finetuner_step_2]",
    ]


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("evaluation.every=0", "evaluation.every=0: must be at least 1"),
        ("evaluation.every=two", "evaluation.every"),
        ("evaluation.every=4", "evaluation.every=4: must be below finetuner.steps=4"),
    ],
)
def test_the_command_line_refuses_with_the_place(tmp_path, word, problem):
    with pytest.raises((ComposeError, PlanError)) as refused:
        plan(tmp_path, "recipe=smoke", word)
    assert problem in str(refused.value) and "from the override" in str(refused.value)

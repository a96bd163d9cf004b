"""The arms of an ablation, from a composed recipe."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from storm_evaluation.ablation.control import Control
from storm_evaluation.ablation.section import AblationSection
from storm_evaluation.harness.lm_eval import LmEval
from storm_exp import SettingError

CURATION = Control(says="as many rows at random", overrides=["curator=random"])
MERGING = Control(says="the fine-tune alone", result="finetuner")


def section(**controls: Control | None) -> AblationSection:
    return AblationSection(result="merger", controls=dict(controls))


@pytest.fixture
def config() -> DictConfig:
    edges = {"model": ["base_model", "finetuner", "merger"]}
    graph: dict[str, Any] = {"evaluator": edges, "other": {"model": "merger"}, "merger": {}}
    config: DictConfig = OmegaConf.create({"graph": graph})
    config.evaluator = OmegaConf.structured(LmEval)
    config.other = OmegaConf.structured(LmEval)
    return config


def test_each_arm_of_one_out_has_one_control_and_evaluates_its_result_alone(config):
    del config["other"]
    arms = section(curation=CURATION, merging=MERGING).arms(config)
    assert arms == {
        "": ["ablation.arm=", "targets=[evaluator]", "graph.evaluator.model=[merger]"],
        "curation": [
            "ablation.arm=curation",
            "curator=random",
            "targets=[evaluator]",
            "graph.evaluator.model=[merger]",
        ],
        "merging": [
            "ablation.arm=merging",
            "targets=[evaluator]",
            "graph.evaluator.model=[finetuner]",
        ],
    }


def test_each_arm_of_one_in_has_all_controls_but_one(config):
    del config["other"]
    both = section(curation=CURATION, merging=MERGING)
    arms = dataclasses.replace(both, design="one_in").arms(config)
    assert [("curator=random" in a, a[-1]) for a in arms.values()] == [
        (True, "graph.evaluator.model=[finetuner]"),
        (False, "graph.evaluator.model=[finetuner]"),
        (True, "graph.evaluator.model=[merger]"),
    ]


def test_a_factorial_has_an_arm_for_each_combination_of_controls(config):
    del config["other"]
    both = section(curation=CURATION, merging=MERGING)
    arms = dataclasses.replace(both, design="full").arms(config)
    assert [("curator=random" in a, a[0], a[-1]) for a in arms.values()] == [
        (False, "ablation.arm=", "graph.evaluator.model=[merger]"),
        (True, "ablation.arm=curation", "graph.evaluator.model=[merger]"),
        (False, "ablation.arm=merging", "graph.evaluator.model=[finetuner]"),
        (True, "ablation.arm=curation+merging", "graph.evaluator.model=[finetuner]"),
    ]


def test_every_evaluator_of_the_result_measures(config):
    arms = section(curation=CURATION).arms(config)
    assert arms[""] == [
        "ablation.arm=",
        "targets=[evaluator,other]",
        "graph.evaluator.model=[merger]",
        "graph.other.model=merger",
    ]


def test_null_takes_a_factor_out(config):
    arms = section(curation=CURATION, merging=None).arms(config)
    assert list(arms) == ["", "curation"]


@pytest.mark.parametrize(
    ("wrong", "design", "said"),
    [
        (AblationSection(controls={"a": CURATION}), "one_out", "result=''"),
        (AblationSection(result="merger"), "one_out", "no controls"),
        (
            AblationSection(result="marger", controls={"a": CURATION}),
            "one_out",
            "'marger': no evaluator of the recipe takes this stage; did you mean 'merger'?",
        ),
        (
            section(a=CURATION, b=Control(says="the fine-tune", result="finetunr")),
            "one_out",
            "controls.b.result='finetunr': no evaluator of the recipe takes this stage; did you "
            "mean 'finetuner'?",
        ),
        (
            section(a=CURATION, b=Control(says="none", overrides=["curator=keep_all"])),
            "one_in",
            "clashes with the control of a, which sets curator=random",
        ),
        (
            section(a=MERGING, b=Control(says="the base", result="base_model")),
            "one_in",
            "clashes with the control of a, whose result is finetuner",
        ),
        (
            section(a=CURATION, b=Control(says="none", overrides=["curator=keep_all"])),
            "full",
            "clashes with the control of a, which sets curator=random",
        ),
        (
            section(**{f"f{n}": Control(says="x", overrides=[f"x={n}"]) for n in range(7)}),
            "full",
            "design='full': 7 factors make 128 arms, more than 64: take some out",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(config, wrong, design, said):
    with pytest.raises(SettingError) as refusal:
        dataclasses.replace(wrong, design=design).arms(config)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "control", "said"),
    [
        ("Curation", CURATION, "small letters"),
        ("a b", CURATION, "small letters"),
        ("a", Control(says=" ", overrides=["x=1"]), "say what the control is"),
        ("a", Control(says="nothing"), "changes nothing"),
    ],
)
def test_a_control_that_says_or_does_nothing_is_refused(name, control, said):
    with pytest.raises(SettingError, match=said):
        AblationSection(result="merger", controls={name: control})

"""The hours that README and pages state are those of the plans that they name."""

from __future__ import annotations

import collections
import re
from pathlib import Path

import pytest

from storm_models.estimate.estimate import Estimate

ROOT = Path(__file__).parents[2]
ON_8 = "runtime.accelerator=h100 runtime.devices=8"
ON_16 = f"{ON_8} runtime.nodes=2"
ALL = r"\| all[^|]*\|.*\| ([\d,.]+) \|"


def hours_of(plan) -> dict[str, float]:
    """Return {stage: hours}."""
    estimate, hours = Estimate(plan), collections.Counter()
    for node, cost in estimate.costs:
        hours[node.stage] += estimate.hours(cost)
    return hours


def agrees(stated: str, actual: float) -> bool:
    """Return whether a figure of at least two digits is the other one, rounded."""
    return float(stated.replace(",", "")) == pytest.approx(actual, rel=0.005, abs=0.5)


@pytest.mark.parametrize(
    ("command", "page", "pattern"),
    [
        (f"recipe=storm_8b {ON_8}", "README.md", r"([\d,]+) hours of an H100"),
        (f"recipe=storm_8b {ON_8}", "docs/recipes/storm.md", r"estimates ([\d,]+) hours"),
        (f"recipe=solar_10_7b {ON_16}", "docs/recipes/solar.md", ALL),
        (f"recipe=minitron_4b_width {ON_16}", "docs/recipes/minitron.md", ALL),
        ("recipe=birbal_7b runtime.accelerator=a100_40", "docs/recipes/birbal.md", ALL),
        (
            f"recipe=tinyllama_1_1b {ON_16.replace('h100', 'a100_40')}",
            "docs/recipes/tinyllama.md",
            ALL,
        ),
    ],
)
def test_the_sum_that_is_stated_is_the_plans(plan, command, page, pattern):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert command in text.replace("\n", " ")
    stated = re.search(pattern, text.replace("\n", " ") if "|" not in pattern else text)
    assert stated and agrees(stated[1], sum(hours_of(plan(*command.split())).values()))


@pytest.mark.parametrize("recipe", ["storm_8b", "storm_qwen2_7b", "storm_gemma2_9b", "storm_phi3"])
def test_the_table_of_storms_models_is_the_plans(plan, recipe):
    text = (ROOT / "docs/recipes/storm.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{recipe}` \|(.*)\|$", text, re.M)
    judge, finetuner, partner = (cell.strip() for cell in row.split("|")[1:4])
    hours = hours_of(plan(f"recipe={recipe}", *ON_8.split()))
    assert agrees(judge, hours["judge"]) and agrees(finetuner, hours["finetuner"])
    assert (partner == "published") == (hours["partner"] == 0)
    assert partner == "published" or agrees(partner, hours["partner"])

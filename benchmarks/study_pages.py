"""What each page of docs/recipes says was measured: Markdown from the runs of the study."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from results import table
from storm_exp.report import CellRecord
from storm_tinyworld.skills.corruption import UNSEEN_FAMILIES
from study_tables import (
    Groups,
    cells,
    difference_table,
    documents,
    group,
    models,
    payload,
    score_table,
    spread,
    sweep_markdown,
)

ARMS = {
    "tinyworld/thresholds": "curated",
    "keep_all": "whole pool",
    "tinyworld/random": "random subset",
    "tinyworld_oracle": "oracle",
}
"""What the arms of the curation control are called, by curator."""


def storm() -> list[str]:
    """Return the parts of Storm's page."""
    every = models("storm", ["base_model", "finetuner", "partner", "merger", "compressor"])
    arms = {
        name: group("curation_control", "finetuner", f"curator={curator}")
        for curator, name in ARMS.items()
    }
    fractions = {
        fraction: group(
            "spectrum_fraction", "finetuner", f"finetuner.trainable.fraction={fraction}"
        )
        for fraction in ("0.125", "0.25", "0.5", "0.75", "1.0")
    }
    return [
        _method(every),
        "### How well the base model judges",
        "Area under the ROC curve of the expected educational value, a family's rows against those "
        "that nothing corrupted. The curators use the most probable label.",
        judge_table(cells("storm")),
        "### Every model",
        score_table(every),
        difference_table(
            every,
            [
                ("finetuner", "base_model"),
                ("partner", "base_model"),
                ("merger", "finetuner"),
                ("merger", "partner"),
                ("merger", "base_model"),
                ("compressor", "merger"),
            ],
        ),
        "### Curated, against the whole pool, a random subset, and an oracle",
        "The same number of steps in every arm; the table is of the fine-tuned model.",
        score_table(arms),
        difference_table(arms, [("curated", name) for name in list(arms)[1:]]),
        "### How much of the partner: `sweep=merge_weight`",
        "All seeds over one base model.",
        sweep_markdown("merge_weight"),
        "### From which educational value on: `sweep=curation_threshold`",
        "All seeds over one base model.",
        sweep_markdown("curation_threshold"),
        "### How much Spectrum trains: `sweep=spectrum_fraction`",
        "The share of the matrices of each kind; the table is of the fine-tuned model.",
        score_table(fractions),
        difference_table(fractions, [("0.5", f) for f in fractions if f != "0.5"]),
    ]


def judge_table(found: list[CellRecord]) -> str:
    """Return the judge's AUC per corruption family over seeds, the unseen family marked."""
    truths = [payload(cell, "judge", "summary.json")["truth"] for cell in found]
    seen = [
        [f["auc"] for name, f in t["families"].items() if name not in UNSEEN_FAMILIES]
        for t in truths
    ]
    rows = [
        ["**worth 3 or more against less**", spread([t["auc"] for t in truths]), ""],
        ["**mean over the seen families**", spread([float(np.mean(each)) for each in seen]), ""],
    ]
    for family in truths[0]["families"]:
        values = [t["families"][family]["auc"] for t in truths if family in t["families"]]
        count = sum(t["families"][family]["rows"] for t in truths if family in t["families"])
        unseen = " (never in rating text)" if family in UNSEEN_FAMILIES else ""
        rows.append([family + unseen, spread(values), str(count)])
    accuracy = spread([t["difficulty"]["accuracy"] for t in truths])
    return table(["family", "AUC", "rows"], rows) + f"\n\nDifficulty named rightly: {accuracy}."


def solar() -> list[str]:
    """Return the parts of SOLAR's page."""
    names = ["base_model", "upscaler", "pretrainer", "finetuner", "aligner", "other_aligner"]
    every = models("solar", [*names, "merger"])
    every["base_model, continued"] = group("solar_control", "pretrainer")
    every["LLaMA Pro"] = group("solar_llama_pro", "upscaler")
    every["LLaMA Pro, continued"] = group("solar_llama_pro", "pretrainer")
    by_m = {
        f"m={m}, {model}": group("solar_m", model, f"upscaler.m={m}")
        for m in (0, 1)
        for model in ("upscaler", "pretrainer", "merger")
    }
    return [
        _method(every),
        "### Every model",
        "`base_model, continued` is the control: the base model as it is, with as much continued "
        "pretraining. `LLaMA Pro` has six layers, too, two of them silent copies at first.",
        score_table(every),
        difference_table(
            every,
            [
                ("upscaler", "base_model"),
                ("pretrainer", "upscaler"),
                ("pretrainer", "base_model"),
                ("pretrainer", "base_model, continued"),
                ("pretrainer", "LLaMA Pro, continued"),
                ("finetuner", "pretrainer"),
                ("aligner", "finetuner"),
                ("other_aligner", "finetuner"),
                ("merger", "aligner"),
            ],
        ),
        "### How many layers the copies lose: `sweep=solar_m`",
        "Of four layers; m=0 makes eight, m=1 six.",
        score_table(by_m),
        difference_table(
            by_m, [(f"m=1, {one}", f"m=0, {one}") for one in ("upscaler", "pretrainer", "merger")]
        ),
    ]


def minitron() -> list[str]:
    """Return the parts of Minitron's page."""
    parts = [_method(models("minitron_width", ["corrector"]))]
    for axis in ("width", "depth"):
        names = ["base_model", "corrector", "pruner", "distiller", "imitator", "scratch"]
        every = models(f"minitron_{axis}", [*names, "finetuner"])
        every["shuffled teacher"] = group(f"minitron_{axis}_shuffled", "distiller")
        if axis == "width":
            every["random teacher"] = group("minitron_width_stranger", "distiller")
        every["no correction"] = group(f"minitron_{axis}_uncorrected", "distiller")
        parts += [
            f"### Pruned in {axis}",
            score_table(every),
            difference_table(
                every,
                [
                    ("corrector", "base_model"),
                    ("pruner", "corrector"),
                    ("distiller", "pruner"),
                    ("distiller", "shuffled teacher"),
                    *([("distiller", "random teacher")] if axis == "width" else []),
                    ("distiller", "scratch"),
                    ("distiller", "imitator"),
                    ("distiller", "no correction"),
                    ("finetuner", "distiller"),
                    ("distiller", "corrector"),
                ],
            ),
        ]
    axes = {
        f"{axis}, {model}": group(f"minitron_{axis}", model)
        for axis in ("width", "depth")
        for model in ("pruner", "distiller", "finetuner")
    }
    rounds = models(
        "minitron_iterative",
        ["base_model", "corrector", "distiller", "second_distiller", "one_shot_distiller"],
    )
    return [
        *parts,
        "### Width against depth",
        difference_table(
            axes,
            [(f"width, {one}", f"depth, {one}") for one in ("pruner", "distiller", "finetuner")],
        ),
        "### In two rounds, or in one: `recipe=minitron_iterative`",
        "The last two models have the same size; the second round's had twice the distillation.",
        score_table(rounds),
        difference_table(
            rounds,
            [("second_distiller", "one_shot_distiller"), ("second_distiller", "distiller")],
        ),
        "### How much can go: `sweep=pruning_ratio`",
        sweep_markdown("pruning_ratio"),
    ]


def tinyllama() -> list[str]:
    """Return the parts of TinyLlama's page."""
    names = ["epoch_1", "epoch_2", "epoch_3", "finetuner", "aligner"]
    every = models("tinyllama", names)
    pairs = [(later, sooner) for sooner, later in itertools.pairwise(names)]
    return [
        _method(every, "a model from random weights of its own"),
        "### Every model",
        score_table(every),
        difference_table(every, pairs),
    ]


def birbal() -> list[str]:
    """Return the parts of Birbal's page."""
    every = models("birbal", ["base_model", "finetuner"])
    every["at random"] = group("birbal_random", "finetuner")
    budgets = {
        f"{rows}, {name}": group(
            "budget_control", "finetuner", f"curator={curator}", f"curator.train_rows={rows}"
        )
        for rows in (400, 1200)
        for curator, name in (
            ("tinyworld/mistakes", "mistakes"),
            ("tinyworld/budget", "highest value"),
            ("tinyworld/budget_random", "at random"),
        )
    }
    return [
        _method(every),
        "### Every model",
        score_table(every),
        "`at random` is tuned on as many rows of the same pool, drawn at random.",
        difference_table(every, [("finetuner", "base_model"), ("finetuner", "at random")]),
        "### Three ways to spend a budget: `sweep=budget_control`",
        "Rows of the budget; the table is of the fine-tuned model. `mistakes` is Birbal's way, "
        "`highest value` Storm's judge. The pool is Storm's: about half of its answers are spoilt, "
        "where the recipe's own are right.",
        score_table(budgets),
        difference_table(
            budgets,
            [
                (f"{rows}, {one}", f"{rows}, {other}")
                for rows in (400, 1200)
                for one, other in (
                    ("mistakes", "at random"),
                    ("highest value", "at random"),
                    ("mistakes", "highest value"),
                )
            ],
        ),
    ]


def _method(groups: Groups, own: str = "a base model of its own") -> str:
    found = next(iter(groups.values()))
    runs, summary = len(found), found[0].summary()
    tasks = [task for task, entry in summary["tasks"].items() if entry["higher_is_better"]]
    return (
        f"{runs} seeds, each with {own}; {documents(groups):,} questions in {len(tasks)} tasks, "
        "scored by exact match, and the loss of the right answers of the first four (nats per "
        "character). Spreads are standard deviations over seeds. Differences are over runs and "
        f"questions, as [statistics](../statistics.md) says: with {runs} runs, intervals are wide; "
        '"undecided" is not "equal". p-values are corrected for the table\'s lines.'
    )


PAGES: dict[str, Callable[[], list[str]]] = {
    "storm": storm,
    "solar": solar,
    "minitron": minitron,
    "tinyllama": tinyllama,
    "birbal": birbal,
}
"""What writes the measured part of docs/recipes/NAME.md."""

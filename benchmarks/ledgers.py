"""The ledgers of the recipes in miniature: writes a section of each page in docs/recipes.

    python benchmarks/ledgers.py                     run what is missing, then write
    python benchmarks/ledgers.py solar tinyllama     those recipes only
    python benchmarks/ledgers.py solar --run RUN     write from an ablation that has run

Each is one command, `storm-exp ablate recipe=NAME seed=0,1,2,3,4`, with a store of its own below
the study's folder: to be killed costs the stages that were being made, and to start again goes on.
The time on a page is the sum over its stages, as measured when each was made.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from results import setting, table, write_between
from storm_evaluation.ablation.ledger import Effect, Ledger, in_words, ledgers
from storm_evaluation.comparison.comparison import shown_interval
from storm_evaluation.tasks.names import short_names
from storm_exp.report import RunRecord
from study_tables import WORK

DOCS = Path(__file__).parents[1] / "docs/recipes"
PAGES = {
    "storm": "storm",
    "solar": "solar",
    "minitron_width": "minitron",
    "tinyllama": "tinyllama",
}
"""{recipe: page}"""
SEEDS = "seed=0,1,2,3,4"


def run(recipe: str) -> Path:
    """Run an ablation, or what of it is missing, and return the folder of its run."""
    folder = WORK / "ledgers" / recipe
    folder.mkdir(parents=True, exist_ok=True)
    command = ["ablate", f"recipe={recipe}", SEEDS, f"name=ledger-{recipe}"]
    subprocess.run([sys.executable, "-m", "storm_exp", *command], cwd=folder, check=True)
    return (folder / "outputs/latest").resolve()


def section(recipe: str, record: RunRecord) -> str:
    """Return the section of a page: the ledger in words, effects, and effects on each task."""
    (ledger,) = ledgers(record)
    seconds = {stage.key: stage.seconds or 0.0 for stage in record.stages()}
    said = "\n".join(f"    {in_words(factor, ledger.margin)}" for factor in ledger.factors)
    asked = f"{sum(ledger.questions.values()):,} questions in {len(ledger.questions)} tasks"
    return "\n\n".join(
        [
            "## What each step is worth",
            f"`storm-exp ablate recipe={recipe} {SEEDS}`; {setting()}",
            f"{said}",
            f"{ledger.runs} runs of each arm over {asked}; {len(record.cells)} cells, whose "
            f"{len(seconds)} stages took {sum(seconds.values()) / 60:.0f} minutes. Intervals "
            f"cover runs and questions and hold at {ledger.confidence:.0%} for all effects on a "
            "measure together ([ablations](../ablations.md)); p-values are corrected.",
            _means(ledger),
            _tasks(ledger),
            *ledger.problems,
        ]
    )


def _means(ledger: Ledger) -> str:
    header = ["factor", "against", "measure", "effect", "interval", "p (Holm)", "verdict"]
    rows = [
        [factor.name, factor.control, kind.replace("_", "-"), *_cells(effect)]
        for factor in ledger.factors
        for kind, effect in {**factor.mean, **factor.measures}.items()
    ]
    return table(header, rows)


def _tasks(ledger: Ledger) -> str:
    names = short_names(list(ledger.questions))
    rows = [
        [factor.name, *(_short(factor.tasks.get(task)) for task in ledger.questions)]
        for factor in ledger.factors
    ]
    return table(["effect on", *(names[task] for task in ledger.questions)], rows)


def _short(effect: Effect | None) -> str:
    if effect is None:
        return ""
    return f"{effect.difference:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"


def _cells(effect: Effect) -> list[str]:
    p = "< 0.001" if effect.p < 0.001 else f"{effect.p:.3f}"
    return [
        f"{effect.difference:+.3f}",
        shown_interval(effect.low, effect.high, f"[{effect.low:+.3f}, {effect.high:+.3f}]"),
        p,
        effect.said,
    ]


def main(words: list[str]) -> None:
    """Run the ablations that are asked for, and write their pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", choices=[[], *PAGES], metavar="RECIPE")
    parser.add_argument("--run", type=Path, help="an ablation of the one recipe that has run")
    asked = parser.parse_args(words)
    recipes = asked.recipes or list(PAGES)
    if asked.run and len(recipes) != 1:
        parser.error("--run needs the one recipe that it is of")
    for recipe in recipes:
        record = RunRecord.read((asked.run or run(recipe)).resolve())
        write_between(DOCS / f"{PAGES[recipe]}.md", "ledger", section(recipe, record))


if __name__ == "__main__":
    main(sys.argv[1:])

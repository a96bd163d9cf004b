"""The packed rows that a training reads, as examples: the documents, and their places in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from storm_report.look.listing import Example, Part, as_json
from storm_training.data.examples_file import EXAMPLES_FILE
from storm_training.data.packing import Row, StepPlan
from storm_training.data.token_parts import token_part
from storm_training.data.token_sequences import TokenSequences
from storm_training.data.token_set import SIDES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROWS, _TOKENS = 2, 500
"""Packed rows that a training keeps for the report, and tokens of each."""
_MEASURED_ROWS = 1000


def write_examples(
    directory: Path,
    tokenizer: PreTrainedTokenizerBase,
    sequences: TokenSequences,
    plan: StepPlan,
    *,
    longest: int,
    cut: bool,
    capacity: int,
) -> None:
    """Write the first rows of a training, and how its rows were packed, for the report and `look`.

    `longest` and `cut` are those of `read_rows`, `capacity` the tokens of a row.
    """
    shown = itertools.islice(packed_rows(tokenizer, sequences, plan, capacity, _TOKENS), _ROWS)
    content = {
        "longest": longest,
        "cut": cut,
        "packing": packing_facts(sequences, plan, capacity),
        "examples": [as_json(example) for example in shown],
    }
    text = json.dumps(content, ensure_ascii=False) + "\n"
    (directory / EXAMPLES_FILE).write_text(text, encoding="utf-8")


def packing_facts(sequences: TokenSequences, plan: StepPlan, capacity: int) -> str:
    """Return how rows are packed, as a sentence, by those of the first steps."""
    lengths = sequences.lengths()
    rows = [row for _, row in itertools.islice(_rows(plan), _MEASURED_ROWS)]
    tokens = sum(int(lengths[row].sum()) for row in rows)
    documents = sum(len(row) for row in rows) / max(len(rows), 1)
    return (
        f"Rows of at most {capacity:,} tokens, {tokens / max(len(rows) * capacity, 1):.1%} full, "
        f"with {documents:.1f} examples each: attention does not cross from one to the next, and "
        "positions begin at 0 in each."
    )


def packed_rows(
    tokenizer: PreTrainedTokenizerBase | None,
    sequences: TokenSequences,
    plan: StepPlan,
    capacity: int,
    most: int | None = None,
    *,
    first: int = 0,
    name: Callable[[int], str] = lambda index: f"example {index + 1:,}",
) -> Iterator[Example]:
    """Yield the rows in the order in which they are read, from the index `first` on.

    `most` limits the tokens shown of a row; `name` names an example by its index in `sequences`.
    """
    for number, (step, row) in enumerate(_rows(plan)):
        if number < first:
            continue
        parts = _documents(tokenizer, sequences, row, most, name)
        tokens = int(sequences.lengths()[row].sum())
        yield Example(
            f"packed row {number + 1:,} · optimiser step {step + 1:,} · {tokens:,} of "
            f"{capacity:,} tokens · {len(row)} example{'s' * (len(row) != 1)}",
            parts,
        )


def _rows(plan: StepPlan) -> Iterator[tuple[int, Row]]:
    """Yield (index of the optimiser step, row) in order."""
    for step in range(len(plan)):
        for rows in plan[step]:
            yield from ((step, row) for row in rows)


def _documents(
    tokenizer: PreTrainedTokenizerBase | None,
    sequences: TokenSequences,
    row: Row,
    most: int | None,
    name: Callable[[int], str],
) -> list[Part]:
    """Return the documents of a row, with their places in it."""
    sides = SIDES if sequences.sequences_per_example == len(SIDES) else ("",)
    parts: list[Part] = []
    start, left = 0, most
    for index in row:
        for side, (input_ids, loss_mask) in zip(sides, sequences.example(index), strict=True):
            end = start + len(input_ids)
            parts.append(
                token_part(
                    tokenizer,
                    input_ids,
                    loss_mask,
                    " · ".join(filter(None, (name(index), side))),
                    f"{start:,} to {end - 1:,} in the row, positions 0 to {len(input_ids) - 1:,}",
                    most=left,
                )
            )
            start = end
            left = None if left is None else max(0, left - len(input_ids))
    return parts

"""The view of trained checkpoints: the packed rows that the training read, in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_report.look.listing import Example, Listing, from_json
from storm_report.look.view import Choice, Subject
from storm_training.data.examples_file import EXAMPLES_FILE, LEGEND, read_examples
from storm_training.data.token_set import TokenSet
from storm_training.optim.settings import TrainingSettings

if TYPE_CHECKING:
    from storm_training.data.packing import StepPlan
    from storm_training.data.token_sequences import TokenSequences

_TRAIN = "train"


class TrainingView:
    """Shows the packed rows of a training, or the examples that it left out."""

    together = False

    def opens(self, place: Path) -> bool:
        """Return whether the folder has a checkpoint whose training kept examples."""
        return (place / EXAMPLES_FILE).is_file()

    def show(self, subjects: Sequence[Subject], choice: Choice) -> Listing:
        """Return the listing of the rows; raises InputError for another split than `train`."""
        (subject,) = subjects
        if choice.split != _TRAIN:
            raise InputError(f"{subject.name} trained on the split train: look at its tokens")
        kept, tokens = read_examples(subject.place), subject.input("tokens")
        title = f"{subject.name} · what it trained on"
        if tokens is None or subject.manifest is None:
            note = "These are the rows that training kept: no token set of it is in the store."
            examples = (from_json(values) for values in kept["examples"])
            shown = iter(()) if choice.dropped else itertools.islice(examples, choice.first, None)
            return Listing(title, [kept["packing"], note], shown, legend=LEGEND)
        left_out = TokenSet(tokens.place).dropped(_TRAIN)
        too_long = _too_long(tokens, kept)
        if too_long:
            left_out[_longer(kept)] = len(too_long)
        shown = _rows(subject, tokens, kept, subject.manifest.settings, choice.first)
        if choice.dropped:
            found = _left_out(subject, tokens, kept, too_long)
            shown = itertools.islice(found, choice.first, None)
        return Listing(
            title + " · left out" * choice.dropped,
            [kept["packing"]],
            shown,
            left_out,
            "" if choice.dropped else LEGEND,
        )


def _rows(
    subject: Subject,
    tokens: Subject,
    kept: Mapping[str, Any],
    settings: Mapping[str, Any],
    first: int,
) -> Iterator[Example]:
    from storm_training.data.packed_rows import packed_rows
    from storm_training.data.training_rows import read_rows

    rows = read_rows(TokenSet(tokens.place), _TRAIN, kept["longest"], cut=kept["cut"])
    capacity = int(settings["sequence_length"])

    def name(index: int) -> str:
        if kept["cut"]:
            return f"piece {index + 1:,}"
        return f"example {int(rows.indices[index]) + 1:,}"

    yield from packed_rows(
        Checkpoint(subject.place).tokenizer(),
        rows.sequences,
        _plan(rows.sequences, settings),
        capacity,
        first=first,
        name=name,
    )


def _plan(sequences: TokenSequences, settings: Mapping[str, Any]) -> StepPlan:
    """Return the steps of a training with these settings, as they are in its manifest."""
    from storm_training.loop.loader import plan_run

    names = ("steps", "epochs", "sequence_length", "batch_size", "gradient_accumulation_steps")
    given = {name: settings[name] for name in (*names, "seed") if name in settings}
    return plan_run(sequences, TrainingSettings(**given))


def _longer(kept: Mapping[str, Any]) -> str:
    return f"longer than {kept['longest']} tokens"


def _too_long(tokens: Subject, kept: Mapping[str, Any]) -> list[int]:
    """Return the indices of the examples that were longer than a row."""
    if kept["cut"]:
        return []
    lengths = TokenSet(tokens.place).sequences(_TRAIN).lengths()
    return [int(index) for index in (lengths > kept["longest"]).nonzero()[0]]


def _left_out(
    subject: Subject, tokens: Subject, kept: Mapping[str, Any], too_long: Sequence[int]
) -> Iterator[Example]:
    from storm_training.data.token_parts import token_part
    from storm_training.look.left_out import left_out_rows

    tokenizer = Checkpoint(subject.place).tokenizer()
    sequences = TokenSet(tokens.place).sequences(_TRAIN)
    for index in too_long:
        parts = [token_part(tokenizer, *sequence, "") for sequence in sequences.example(index)]
        yield Example(f"example {index + 1:,}", parts, _longer(kept))
    yield from left_out_rows(tokens, _TRAIN)

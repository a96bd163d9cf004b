"""Tokenising the rows of a data set, split by split."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from storm_data.dataset import Dataset
from storm_exp import InputError, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import readable_count
from storm_training.data.token_set import TokenSet
from storm_training.data.token_writer import SplitWriter, TokenSequence, write_content

SPLITS = ("train", "validation")

Encoded = list[TokenSequence] | str
"""The sequences of an example, or the reason for leaving the row out."""

_CHUNK_ROWS = 512


def tokenise(
    stage: StageContext,
    data: Dataset,
    model: Checkpoint,
    kind: str,
    encode: Callable[[list[dict[str, Any]]], Iterable[Encoded]],
    *,
    longest: int = 0,
    sequences_per_example: int = 1,
    **further: Any,
) -> TokenSet:
    """Write a token set of all rows of the train and validation splits, in order.

    `encode` takes some rows and returns, for each, its sequences or a reason for leaving it out.
    Examples with a sequence of more than `longest` tokens (0: any length) or without a token to
    predict are left out, counted, and listed with the reason. Raises InputError when no example
    is left to train on.
    """
    counts: dict[str, dict[str, Any]] = {}
    splits = [name for name in SPLITS if name == "train" or data.count(name)]
    with stage.progress(sum(data.count(name) for name in splits), "rows", "tokenising") as bar:
        for split in splits:
            with SplitWriter(stage.directory, split, sequences_per_example) as writer:
                for rows in _chunks(data.rows(split)):
                    for row, encoded in zip(rows, encode(rows), strict=True):
                        reason = _unusable(encoded, longest)
                        if reason:
                            writer.drop(str(row.get("id", "")), reason)
                        else:
                            assert not isinstance(encoded, str)
                            writer.add(encoded, str(row.get("source") or ""))
                    bar.advance(len(rows))
            counts[split] = writer.spec()
    train = counts["train"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in train["dropped"].items())
    if not train["examples"]:
        raise InputError(f"no row of {data.directory} can be trained on ({reasons or 'no rows'})")
    stage.say(
        f"{train['examples']} {kind}, {readable_count(train['tokens'])} tokens, "
        f"{readable_count(train['supervised'])} of them supervised"
        + (f"; dropped: {reasons}" if reasons else "")
    )
    stage.metric("tokens", train["tokens"], main=True)
    stage.metric("supervised_tokens", train["supervised"])
    stage.metric("dropped", sum(train["dropped"].values()))
    digest = model.tokenizer_digest()
    return write_content(
        stage.directory,
        kind,
        digest,
        counts,
        sequences_per_example=sequences_per_example,
        **further,
    )


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(itertools.islice(rows, _CHUNK_ROWS)):
        yield chunk


def _unusable(encoded: Encoded, longest: int) -> str:
    """Return why an example is left out; empty when it can be used."""
    if isinstance(encoded, str):
        return encoded
    for input_ids, loss_mask in encoded:
        if longest and len(input_ids) > longest:
            return f"longer than {longest} tokens"
        if not (len(input_ids) > 1 if loss_mask is None else any(loss_mask[1:])):
            return "nothing supervised"
    return ""

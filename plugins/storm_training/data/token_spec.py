"""The spec and the cost of a token set, from the specs of model and data."""

from __future__ import annotations

from storm_data.dataset import DatasetSpec
from storm_exp import Cost, InputError
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_training.data.token_set import TokenSetSpec


def token_spec(
    kind: str,
    model: CheckpointSpec,
    data: DatasetSpec,
    column: str,
    *,
    template: bool = True,
) -> TokenSetSpec:
    """Return the spec of the token set: at most one example a row, and the expected tokens.

    Raises InputError for data without rows or without the `column` to tokenise, and, with
    `template`, for a model without a chat template.
    """
    if template:
        check_template(model, "chats are to be tokenised")
    if data.columns and column not in data.columns:
        raise InputError(f"the data set has no column '{column}' (it has {data.columns})")
    splits = None
    if data.splits is not None:
        if data.splits.get("train", [0, 0])[1] == 0:
            raise InputError("the data set has no row in its split 'train'")
        splits = {
            name: [0, data.splits[name][1]]
            for name in ("train", "validation")
            if data.splits.get(name, [0, 0])[1]
        }
    rows = data.likely_rows()
    tokens = None
    if rows is not None and data.row_tokens is not None:
        tokens = {"train": round(rows * data.row_tokens)}
    return TokenSetSpec(kind=kind, tokenizer=model.tokenizer, splits=splits, tokens=tokens)


def tokens_cost(spec: TokenSetSpec) -> Cost:
    """Return the disk space of the tokens: four bytes an id, one of loss mask."""
    tokens = (spec.tokens or {}).get("train")
    return Cost(tokens=tokens, disk=None if tokens is None else 5.0 * tokens, on_host=True)

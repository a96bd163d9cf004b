"""Which requests the harness's Hugging Face model computes together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.models.utils import Collator

from storm_evaluation.harness.shared_prompt import Request


def likelihood_batches(requests: Sequence[Request], size: int) -> list[list[int]]:
    """Return the indices of requests, batch by batch: the longest first, `size` texts in each.

    Requests that differ in their last token alone are one text.
    """
    same: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, (context, continuation) in enumerate(requests):
        same[(*context, *continuation[:-1])].append(index)

    def place(index: int) -> tuple[int, list[int]]:
        context, continuation = requests[index]
        return -len(context) - len(continuation), context + continuation

    texts = {max(each, key=lambda index: len(requests[index][1])): each for each in same.values()}
    order = sorted(texts, key=place)
    return [
        [index for text in order[start : start + size] for index in texts[text]]
        for start in range(0, len(order), size)
    ]


def generation_batches(
    requests: Sequence[tuple[str, dict[str, Any]]], length: Callable[[str], int], size: int
) -> list[list[int]]:
    """Return the indices of (prompt, options), batch by batch: `size` of the same options.

    `length` returns a prompt's number of tokens.
    """
    numbered = [(prompt, options, index) for index, (prompt, options) in enumerate(requests)]
    order = Collator(
        numbered,
        sort_fn=lambda request: (-length(request[0]), request[0]),
        group_fn=lambda request: request[1],
        group_by="gen_kwargs",
    )
    return [[index for _, _, index in batch] for batch in order.get_batched(n=size)]

"""Log-likelihoods of several continuations of the same context, which is computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

Request = tuple[list[int], list[int]]
"""Token ids of the context and of the continuation, neither of them empty."""


def share_of_tokens(requests: Sequence[Request]) -> float:
    """Return the share of tokens left when each distinct context is computed once."""
    contexts = {tuple(context) for context, _ in requests}
    answers = sum(len(continuation) for _, continuation in requests)
    left = sum(map(len, contexts)) + answers
    return left / max(1, sum(len(context) for context, _ in requests) + answers)


def score_shared(
    model: PreTrainedModel, requests: Sequence[Request], batch_size: int
) -> Iterator[tuple[int, float, bool]]:
    """Yield (index of the request, Σ log p(continuation | context), whether it is greedy).

    Contexts are padded on the left, so that every continuation follows its context without a
    gap. A batch holds whole contexts, and about `batch_size` continuations.
    """
    owners: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, (prompt, _) in enumerate(requests):
        owners[tuple(prompt)].append(index)
    order = sorted(owners, key=lambda context: (-len(context), context))
    batch: list[tuple[int, ...]] = []
    rows = 0
    for context in order:
        batch.append(context)
        rows += len(owners[context])
        if rows >= batch_size:
            yield from _score_batch(model, requests, batch, owners)
            batch, rows = [], 0
    if batch:
        yield from _score_batch(model, requests, batch, owners)


@torch.inference_mode()
def _score_batch(
    model: PreTrainedModel,
    requests: Sequence[Request],
    contexts: list[tuple[int, ...]],
    owners: dict[tuple[int, ...], list[int]],
) -> list[tuple[int, float, bool]]:
    device = model.device
    indices = [index for context in contexts for index in owners[context]]
    owner_R = torch.tensor(
        [row for row, context in enumerate(contexts) for _ in owners[context]], device=device
    )
    tokens_CT, mask_CT = _pad(contexts, left=True, device=device)
    target_RT, target_mask_RT = _pad([requests[i][1] for i in indices], left=False, device=device)
    cache = DynamicCache(config=model.config)
    output = model(
        input_ids=tokens_CT,
        attention_mask=mask_CT,
        position_ids=(mask_CT.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits_RTV = output.logits[owner_R]
    if target_RT.shape[1] > 1:
        cache.batch_select_indices(owner_R)
        lengths_R = mask_CT.sum(-1)[owner_R]
        steps_T = torch.arange(target_RT.shape[1] - 1, device=device)
        output = model(
            input_ids=target_RT[:, :-1],
            attention_mask=torch.cat([mask_CT[owner_R], target_mask_RT[:, :-1]], dim=1),
            position_ids=lengths_R[:, None] + steps_T,
            past_key_values=cache,
            use_cache=True,
        )
        logits_RTV = torch.cat([logits_RTV, output.logits], dim=1)
    logs_RT = logits_RTV.log_softmax(-1).gather(2, target_RT[..., None])[..., 0]
    padding_RT = target_mask_RT == 0
    sums_R = logs_RT.masked_fill(padding_RT, 0.0).sum(-1)
    greedy_R = ((logits_RTV.argmax(-1) == target_RT) | padding_RT).all(-1)
    return list(zip(indices, sums_R.tolist(), greedy_R.tolist(), strict=True))


def _pad(
    rows: Sequence[Sequence[int]], *, left: bool, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and mask, padded with id 0 to the longest row."""
    longest = max(map(len, rows))
    tokens = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for index, row in enumerate(rows):
        span = slice(longest - len(row), longest) if left else slice(0, len(row))
        tokens[index, span] = torch.tensor(row)
        mask[index, span] = 1
    return tokens.to(device), mask.to(device)

"""Log-likelihoods of several continuations of the same context, which is computed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

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


def shared_batches(requests: Sequence[Request], size: int) -> list[list[int]]:
    """Return the indices of requests, batch by batch: whole contexts, the longest first.

    A batch has about `size` continuations.
    """
    batches: list[list[int]] = [[]]
    for owned in _by_context(requests).values():
        if len(batches[-1]) >= size:
            batches.append([])
        batches[-1] += owned
    return batches


@torch.inference_mode()
def score_shared(model: PreTrainedModel, requests: Sequence[Request]) -> list[tuple[float, bool]]:
    """Return (Σ log p(continuation | context), whether it is the greedy one) for one batch.

    Contexts are padded on the left, so that every continuation follows its context without a gap.
    """
    device = model.device
    owners = _by_context(requests)
    indices = [index for owned in owners.values() for index in owned]
    owner_R = torch.tensor(
        [row for row, owned in enumerate(owners.values()) for _ in owned], device=device
    )
    tokens_CT, mask_CT = _pad(list(owners), left=True, device=device)
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
    scores = zip(sums_R.tolist(), greedy_R.tolist(), strict=True)
    by_index = dict(zip(indices, scores, strict=True))
    return [by_index[index] for index in range(len(requests))]


def _by_context(requests: Sequence[Request]) -> dict[tuple[int, ...], list[int]]:
    """Return the indices of requests by their context, the longest contexts first."""
    owners: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, (prompt, _) in enumerate(requests):
        owners[tuple(prompt)].append(index)
    return {
        context: owners[context] for context in sorted(owners, key=lambda each: (-len(each), each))
    }


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

"""Greedy decoding of batches, in which rows that have stopped are no longer computed."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache

_TEXT_STOP_EVERY = 4
_NEUTRAL = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_length": 0,
    "num_beams": 1,
    "penalty_alpha": 0.0,
}
"""Generation settings, with the values at which they change nothing."""
_ABSENT = (
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "min_new_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "sequence_bias",
    "guidance_scale",
    "exponential_decay_length_penalty",
    "watermarking_config",
    "cache_implementation",
)
"""Generation settings that must not be set."""


class GreedyDecoder:
    """Decodes a batch by argmax until every row has stopped."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Decode with a model whose key-value cache is a plain one."""
        self._model, self._tokenizer = model, tokenizer

    def supports(self, options: dict[str, Any]) -> bool:
        """Return whether generation with `options` is an argmax per step and nothing else."""
        if options.get("do_sample") or options.get("temperature", 0.0) not in (0, None):
            return False
        if set(options) - {"attention_mask", "do_sample", "temperature"}:
            return False
        return not self.habits()

    def habits(self) -> list[str]:
        """Return what the model's generation_config sets besides the most probable token."""
        settings = self._model.generation_config
        changed = [
            name
            for name, neutral in _NEUTRAL.items()
            if getattr(settings, name, None) not in (None, neutral)
        ]
        return changed + [name for name in _ABSENT if getattr(settings, name, None)]

    @torch.inference_mode()
    def decode(
        self, context_BT: torch.Tensor, mask_BT: torch.Tensor, steps: int, stop: list[str]
    ) -> torch.Tensor:
        """Return contexts and answers of up to `steps` tokens, padded on the right.

        Rows that have stopped leave the batch, whereas `generate` computes them to the end.
        """
        batch = context_BT.shape[0]
        ends = self.stop_tokens(stop)
        texts = [s for s in stop if s and self._single_token(s) is None]
        padding = self._tokenizer.pad_token_id
        assert isinstance(padding, int)
        answers = torch.full((batch, steps), padding, dtype=torch.long, device=context_BT.device)
        rows = torch.arange(batch, device=context_BT.device)
        cache = DynamicCache(config=self._model.config)
        tokens_BT, positions_BT = context_BT, (mask_BT.cumsum(-1) - 1).clamp(min=0)
        for step in range(steps):
            output = self._model(
                input_ids=tokens_BT,
                attention_mask=mask_BT,
                position_ids=positions_BT,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            chosen = output.logits[:, -1].float().argmax(dim=-1)
            answers[rows, step] = chosen
            going = ~torch.isin(chosen, ends)
            if texts and step % _TEXT_STOP_EVERY == _TEXT_STOP_EVERY - 1:
                written = self._tokenizer.batch_decode(answers[rows, : step + 1])
                going &= torch.tensor(
                    [not any(text in answer for text in texts) for answer in written],
                    device=going.device,
                )
            if not going.any():
                break
            positions_BT = positions_BT[:, -1:] + 1
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
            if not going.all():
                remaining = going.nonzero()[:, 0]
                cache.batch_select_indices(remaining)
                rows, chosen = rows[remaining], chosen[remaining]
                mask_BT, positions_BT = mask_BT[remaining], positions_BT[remaining]
            tokens_BT = chosen[:, None]
        return torch.cat([context_BT, answers], dim=1)

    def stop_tokens(self, stop: list[str]) -> torch.Tensor:
        """Return the ids that end an answer: the model's own, and stop texts of one token."""
        own: Any = self._model.generation_config.eos_token_id
        ids = set(own if isinstance(own, list) else [own])
        ids |= {self._single_token(text) for text in stop}
        return torch.tensor(sorted(ids - {None}), dtype=torch.long, device=self._model.device)

    def _single_token(self, text: str) -> int | None:
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        return ids[0] if len(ids) == 1 and self._tokenizer.decode(ids) == text else None

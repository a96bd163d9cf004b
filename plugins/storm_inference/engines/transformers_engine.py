"""The engine `transformers`: a model in this process, reproducible to the bit."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from storm_inference.engines.engine import LabelLogs, Sampling, Tokens
from storm_inference.factor_change import generate_through
from storm_inference.journal import Journal
from storm_inference.label_scorer import LabelScorer
from storm_models.checkpoint.checkpoint import Checkpoint


class TransformersEngine:
    """A loaded model."""

    def __init__(
        self,
        model: Checkpoint,
        *,
        dtype: str,
        device: str,
        batch_size: int,
        pad_to_multiple_of: int = 1,
        ends: Sequence[int] = (),
    ) -> None:
        """Load `model`; label log-probabilities are computed `batch_size` rows at a time.

        `ends` are stop tokens besides those of the model's files.
        """
        self._config = model.config()
        self._tokenizer = model.tokenizer()
        self._network: Any = model.load(dtype, device)
        self._batch_size, self._step = batch_size, pad_to_multiple_of
        eos = self._network.generation_config.eos_token_id
        stops = {*(eos if isinstance(eos, list) else [eos]), *ends}
        self.stops: list[int] = sorted((stops | {self._tokenizer.eos_token_id}) - {None})
        self._scorer: LabelScorer | None = None

    def score_labels(
        self,
        rows: Sequence[Sequence[Tokens]],
        labels: Sequence[Tokens],
        advance: Callable[[int], None] = lambda rows: None,
        journal: Journal | None = None,
    ) -> LabelLogs:
        """Score in batches of fixed shape, as LabelScorer does."""
        if self._scorer is None:
            self._scorer = LabelScorer(self._network, rows=self._batch_size, step=self._step)
        return self._scorer.score(rows, labels, advance, journal)

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Tokens],
        sampling: Sampling,
        advance: Callable[[int], None] = lambda answers: None,
    ) -> list[list[int]]:
        """Answer all prompts as one batch; samples from torch's generator in its current state."""
        assert not sampling.stop, "stop strings are supported by servers only"
        # The model's own sampling parameters (top_k, repetition_penalty) must not apply.
        self._network.generation_config = GenerationConfig(eos_token_id=self.stops)
        width = max(map(len, prompts))
        candidates = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, *self.stops)
        padding = next((int(token) for token in candidates if token is not None), 0)
        input_ids = torch.full((len(prompts), width), padding)
        mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        samples = sampling.temperature > 0
        options: dict[str, Any] = {}
        if samples:  # transformers warns of them where nothing is sampled
            options = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}

        def generate(given: torch.Tensor, mask: torch.Tensor, max_length: int) -> torch.Tensor:
            written: torch.Tensor = self._network.generate(
                input_ids=given,
                attention_mask=mask,
                max_new_tokens=max_length - given.shape[1],
                do_sample=samples,
                pad_token_id=padding,
                **options,
            )
            return written

        device = self._network.device
        given, mask = input_ids.to(device), mask.to(device)
        longest = width + sampling.max_new_tokens
        written = generate_through(self._config, given, mask, longest, self.stops, generate)
        advance(len(prompts))
        return [self._ended(tokens) for tokens in written[:, width:].tolist()]

    def _ended(self, tokens: list[int]) -> list[int]:
        """Return an answer up to its first stop token."""
        end = next((i for i, token in enumerate(tokens) if token in self.stops), len(tokens))
        return tokens[: end + 1]

    def random_state(self) -> str:
        """Return the state of torch's generator on the model's device."""
        device = self._network.device
        on_gpu = device.type == "cuda"
        state = torch.cuda.get_rng_state(device) if on_gpu else torch.get_rng_state()
        return base64.b64encode(state.numpy().tobytes()).decode()

    def restore(self, random: str) -> None:
        """Set the state of torch's generator on the model's device."""
        device = self._network.device
        state = torch.frombuffer(bytearray(base64.b64decode(random)), dtype=torch.uint8)
        if device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        else:
            torch.set_rng_state(state)

    def health(self) -> str:
        """Return an empty string: the model is in this process."""
        return ""

    def figures(self) -> dict[str, float]:
        """Return no metrics."""
        return {}

    def close(self) -> None:
        """Release the model."""
        self._network = self._scorer = None

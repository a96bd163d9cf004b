"""The harness's Hugging Face model, shared by workers, and with a faster greedy decoder."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from storm_evaluation.harness.batches import generation_batches, likelihood_batches
from storm_evaluation.harness.chat_model import ChatModel
from storm_evaluation.harness.greedy_decoder import GreedyDecoder
from storm_evaluation.harness.kept_answers import KeptAnswers
from storm_evaluation.harness.shared_prompt import (
    Request,
    score_shared,
    share_of_tokens,
    shared_batches,
)
from storm_exp import InputError, StageContext
from storm_inference.batches import Batch, answer_batches, digest_of, shards_of
from storm_inference.engines.engine import Engine, Sampling
from storm_inference.factor_change import generate_through
from storm_inference.shards import Shards
from storm_models.chat.renderer import ChatRenderer
from storm_models.families.model_config import model_config
from storm_models.families.rope import answered_alike, read_alike, short_context

_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Families with a plain key-value cache; others are computed as HFLM does."""
_SHARED_ENOUGH = 0.8
"""Contexts are shared where this leaves a smaller share of the tokens to compute."""
_SERVED = 1024
"""Requests given to servers at once."""


class HarnessModel(ChatModel):
    """Answers the harness's requests as HFLM does, in the same batches, and keeps the answers.

    Every worker of the stage is asked the same requests, computes the batches that nobody else has
    taken, and returns all answers.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        renderer: ChatRenderer | None,
        stage: StageContext,
        *,
        batch_size: int,
        max_length: int | None,
        max_new_tokens: int | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Wrap a loaded model; `max_new_tokens` bounds answers of tasks that set none.

        Without a renderer, tasks cannot use a chat template. `engine` writes answers, if given.
        """
        super().__init__(model, tokenizer, renderer, batch_size=batch_size, max_length=max_length)
        self._stage, self._shards = stage, Shards(stage)
        self._advance: Callable[[int], None] = lambda requests: None
        self._rope = model_config(model.config.to_dict())
        self._max_new_tokens, self._engine = max_new_tokens, engine
        self._decoder = GreedyDecoder(model, tokenizer)
        self.kept: KeptAnswers | None = None
        """Answers that need not be computed; None: none are kept."""
        self._documents: list[int] = []

    @property
    def max_gen_toks(self) -> int:
        """The most tokens of an answer where the task does not set them."""
        return self._max_new_tokens or min(256, self.max_length // 2)

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Return (log-likelihood of the continuation, whether it is the greedy one)."""
        requests = self._shielded(requests)
        self._documents = _documents(requests)
        with self._counting(len(requests), "log-likelihoods"):
            scores: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return scores

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[float]:
        """Return the log-likelihoods of whole texts, in windows as HFLM computes them."""
        windows: list[Request] = []
        counts = []
        self._documents = []
        for request in self._shielded(requests):
            found = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            before = len(windows)
            windows += map(make_disjoint_window, found)
            counts.append(len(windows) - before)
            self._documents += _documents([request]) * counts[-1]
        size = self.batch_size

        def together(indices: Sequence[int]) -> list[Any]:
            asked = [windows[index] for index in indices]
            in_order = [range(n, min(n + size, len(asked))) for n in range(0, len(asked), size)]
            score = functools.partial(score_windows, asked)
            return self._divided("windows", asked, shards_of(in_order), score)

        def score_windows(asked: list[Request], batch: Batch) -> list[tuple[float, bool]]:
            chosen = [asked[index] for index in batch]
            scores: dict[int, tuple[float, bool]] = {}
            compute, batches = self._likelihoods(chosen)
            for each in batches:
                scores |= zip(each, compute([chosen[index] for index in each]), strict=True)
            self._advance(len(chosen))
            return [scores[index] for index in range(len(chosen))]

        with self._counting(len(windows), "windows of texts"):
            scores = iter(self._or_kept("windows", windows, together))
        return [sum(next(scores)[0] for _ in range(count)) for count in counts]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Return the answers, truncated at the tasks' stop sequences."""
        requests = self._shielded(requests)
        self._documents = _documents(requests)
        asked = [(prompt, options) for prompt, options in (each.args for each in requests)]
        size = self.batch_size if self._engine is None else _SERVED
        length = self._token_count

        def together(indices: Sequence[int]) -> list[Any]:
            chosen = [asked[index] for index in indices]
            divided: list[Batch] = []
            drawn: list[Batch] = []
            for alike in self._answered_alike(chosen):
                for batch in generation_batches([chosen[i] for i in alike], length, size):
                    # A draw depends on those before it: they are one shard.
                    draws = self._is_drawn(chosen[alike[batch[0]]][1])
                    (drawn if draws else divided).append([alike[i] for i in batch])
            shards = [*shards_of(divided), *([drawn] if drawn else [])]
            write = functools.partial(answer, [requests[index] for index in indices])
            return self._divided("answers", chosen, shards, write)

        def answer(requests: list[Instance], batch: Batch) -> list[str]:
            chosen = [requests[index] for index in batch]
            own, self.batch_size_per_gpu = self.batch_size, size
            try:
                texts: list[str] = super(HarnessModel, self).generate_until(chosen, True)
            finally:
                self.batch_size_per_gpu = own
            return texts

        with self._counting(len(requests), "answers"):
            if any(self._is_drawn(options) for _, options in asked):
                return together(range(len(asked)))
            return self._or_kept("answers", asked, together)

    def _is_drawn(self, options: dict[str, Any]) -> bool:
        return bool(normalize_gen_kwargs(options, self.max_gen_toks)["do_sample"])

    def _token_count(self, prompt: str) -> int:
        return len(self.tok_encode(prompt))

    def _answered_alike(self, asked: list[tuple[str, dict[str, Any]]]) -> list[list[int]]:
        if short_context(self._rope) is None:
            return [list(range(len(asked)))]
        lengths = []
        for prompt, options in asked:
            new = normalize_gen_kwargs(options, self.max_gen_toks)["max_gen_toks"]
            lengths.append(min(self._token_count(prompt) + new, self.max_length))
        return answered_alike(self._rope, lengths)

    def score_tokens(self, requests: list[Request]) -> list[float]:
        """Return Σ log p(continuation | context) for pairs of token ids."""
        named = [(("", ""), *request) for request in requests]
        with self._counting(len(requests), "held-out loss"):
            return [score for score, _ in self._loglikelihood_tokens(named, disable_tqdm=True)]

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = True,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        pairs = [(context, continuation) for _, context, continuation in requests]

        def together(indices: Sequence[int]) -> list[Any]:
            chosen = [pairs[index] for index in indices]
            compute, batches = self._likelihoods(chosen)

            def score(batch: Batch) -> list[tuple[float, bool]]:
                scores = compute([chosen[index] for index in batch])
                self._advance(len(batch))
                return scores

            return self._divided("likelihoods", chosen, shards_of(batches), score)

        scores = self._or_kept("likelihoods", pairs, together)
        return [(score, greedy) for score, greedy in scores]

    def _likelihoods(
        self, requests: list[Request]
    ) -> tuple[Callable[[list[Request]], list[tuple[float, bool]]], list[list[int]]]:
        """Return what computes a batch of requests, and the batches."""
        fits = all(len(a) + len(b) <= self.max_length for a, b in requests)
        if fits and self._is_plain() and share_of_tokens(requests) < _SHARED_ENOUGH:
            batches = shared_batches(requests, self.batch_size)
            return functools.partial(score_shared, self.model), batches
        longest = self.max_length + 1  # the last token is only predicted
        lengths = [min(len(a) + len(b), longest) - 1 for a, b in requests]
        batches = [
            [alike[index] for index in batch]
            for alike in read_alike(self._rope, lengths)
            for batch in likelihood_batches([requests[index] for index in alike], self.batch_size)
        ]
        return self._score_as_hflm, batches

    def _score_as_hflm(self, requests: list[Request]) -> list[tuple[float, bool]]:
        named = [(("", ""), *request) for request in requests]
        scores: list[tuple[float, bool]] = super()._loglikelihood_tokens(named, disable_tqdm=True)
        return scores

    def _divided(
        self,
        kind: str,
        requests: Sequence[Any],
        shards: Sequence[Sequence[Batch]],
        answer: Callable[[Batch], Sequence[Any]],
    ) -> list[Any]:
        """Return the answers to requests, of which every worker of the stage computes shards."""
        sizes = [self.batch_size, self.max_length, self.max_gen_toks]
        digest = digest_of([[kind, *sizes], *requests])
        return answer_batches(self._shards, digest, shards, answer, self._advance)

    def _or_kept(
        self,
        kind: str,
        requests: Sequence[Any],
        together: Callable[[Sequence[int]], list[Any]],
    ) -> list[Any]:
        """Return the answers to requests: those that are kept, and what `together` computes."""
        if self.kept is None:
            return together(range(len(requests)))
        return self.kept.answer(kind, requests, self._documents, together, self._advance)

    @contextlib.contextmanager
    def _counting(self, total: int, label: str) -> Iterator[None]:
        with self._stage.progress(total, "requests", label) as bar:
            self._advance = bar.advance
            yield

    def _model_generate(
        self,
        context: torch.Tensor,
        max_length: int,
        stop: list[str],
        **generation_kwargs: Any,
    ) -> torch.Tensor:
        mask = generation_kwargs.get("attention_mask")
        if self._engine is not None and mask is not None:
            new = max_length - context.shape[1]
            return self._generate_elsewhere(
                self._engine, context, mask, new, stop, generation_kwargs
            )
        if mask is None or not self._is_plain_greedy(generation_kwargs):
            answers = self._generate_as_hflm(context, max_length, stop, generation_kwargs)
        else:
            answers = self._decoder.decode(context, mask, max_length - context.shape[1], stop)
        self._advance(len(context))
        return answers

    def _generate_elsewhere(
        self,
        engine: Engine,
        context_BT: torch.Tensor,
        mask_BT: torch.Tensor,
        steps: int,
        stop: list[str],
        asked: dict[str, Any],
    ) -> torch.Tensor:
        """Return context and answer, padded, as an engine writes it; raises InputError."""
        unknown = set(asked) - {"attention_mask", "do_sample", "temperature", "top_p"}
        if unknown or (habits := self._decoder.habits()):
            named = ", ".join(sorted(unknown) or habits)
            problem = f"answers are to be generated with {named}, which only transformers is given"
            raise InputError(f"{problem}: inference=transformers")
        drawn = asked.get("do_sample", False)
        sampling = Sampling(
            max_new_tokens=steps,
            temperature=float(asked.get("temperature") or 1.0) if drawn else 0.0,
            top_p=float(asked.get("top_p") or 1.0) if drawn else 1.0,
            stop=tuple(text for text in stop if text),
        )
        rows = zip(context_BT.tolist(), mask_BT.tolist(), strict=True)
        prompts = [list(itertools.compress(ids, kept)) for ids, kept in rows]
        answers = torch.full((len(prompts), steps), self.tokenizer.pad_token_id)
        for row, tokens in enumerate(engine.generate(prompts, sampling, self._advance)):
            answers[row, : len(tokens)] = torch.tensor(tokens[:steps], dtype=torch.long)
        return torch.cat([context_BT, answers.to(context_BT.device)], dim=1)

    def _generate_as_hflm(
        self, context: torch.Tensor, max_length: int, stop: list[str], options: dict[str, Any]
    ) -> torch.Tensor:
        parent, mask = super()._model_generate, options.get("attention_mask")

        def generate(ids: torch.Tensor, mask: torch.Tensor | None, length: int) -> torch.Tensor:
            answers: torch.Tensor = parent(ids, length, stop, **{**options, "attention_mask": mask})
            return answers

        with torch.no_grad():
            if mask is None:
                return generate(context, mask, max_length)
            ends = self._decoder.stop_tokens(stop).tolist()
            return generate_through(self._rope, context, mask, max_length, ends, generate)

    def _is_plain(self) -> bool:
        known = self.model.config.model_type in _FAMILIES and short_context(self._rope) is None
        return known and self.mixed_precision_dtype is None

    def _is_plain_greedy(self, options: dict[str, Any]) -> bool:
        return self._is_plain() and self._decoder.supports(options)


def _documents(requests: Sequence[Instance]) -> list[int]:
    return [int(request.doc_id or 0) for request in requests]

"""The harness's Hugging Face model, with progress in the stage and a faster greedy decoder."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from storm_evaluation.harness.chat_prompts import ChatPrompts
from storm_evaluation.harness.greedy_decoder import GreedyDecoder
from storm_evaluation.harness.shared_prompt import score_shared, share_of_tokens
from storm_exp import InputError, Progress, StageContext
from storm_inference.engines.engine import Engine, Sampling
from storm_inference.factor_change import generate_through
from storm_models.chat.control_tokens import ControlTokens
from storm_models.chat.renderer import ChatRenderer
from storm_models.families.model_config import model_config
from storm_models.families.rope import answered_alike, read_alike, short_context

_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Families with a plain key-value cache; others are computed as HFLM does."""
_SHARED_ENOUGH = 0.8
"""Contexts are shared where this leaves a smaller share of the tokens to compute."""


class HarnessModel(HFLM):
    """Answers the harness's requests as HFLM does, and shows progress in the stage."""

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
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            max_length=max_length,
            trust_remote_code=False,
        )
        self._stage = stage
        self._rope = model_config(model.config.to_dict())
        self._max_new_tokens, self._engine = max_new_tokens, engine
        self._controls = renderer.controls if renderer else ControlTokens(tokenizer)
        self._end = tokenizer.eos_token_id
        self._adds_end = tokenizer("a")["input_ids"][-1:] == [self._end]
        self.prompts = ChatPrompts(renderer, self._controls)
        """The prompts rendered so far."""
        self._decoder = GreedyDecoder(model, tokenizer)
        self.beginnings: set[int] = set()
        """The numbers of BOS tokens at the beginning of prompts."""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return a chat as text; raises InputError for one that the template refuses."""
        return self.prompts.render(chat_history, ask=add_generation_prompt)

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **further: Any,
    ) -> list[int]:
        """Return the ids of a text with at most one BOS, and shielded control tokens as text."""
        first, *rest = self._controls.unshield(string)
        ids = super().tok_encode(first, add_special_tokens, **further)
        if self._adds_end:  # a text that continues must not end with an EOS that the tokenizer adds
            bare = self.tokenizer.encode(first, add_special_tokens=False)
            if count_leading(ids[::-1], self._end) > count_leading(bare[::-1], self._end):
                ids = ids[:-1]
        for number, piece in enumerate(rest):
            ids += self.tokenizer.encode(
                piece, add_special_tokens=False, split_special_tokens=number % 2 == 0
            )
        while count_leading(ids, self.tokenizer.bos_token_id) > 1:
            ids = ids[1:]
        return ids[-left_truncate_len:] if left_truncate_len else ids

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids of several texts, encoded by `tok_encode` and padded, and their mask."""
        rows = [self.tok_encode(text, left_truncate_len=left_truncate_len) for text in strings]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            filled = slice(width - len(row), None) if padding_side == "left" else slice(len(row))
            ids[index, filled] = torch.tensor(row, dtype=torch.long)
            mask[index, filled] = 1
        return ids, mask

    @property
    def max_gen_toks(self) -> int:
        """The most tokens of an answer where the task does not set them."""
        return self._max_new_tokens or min(256, self.max_length // 2)

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Return (log-likelihood of the continuation, whether it is the greedy one)."""
        requests = self._shielded(requests)
        with self._counting(len(requests), "log-likelihoods"):
            return super().loglikelihood(requests, disable_tqdm=True)

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[float]:
        """Return the log-likelihoods of whole texts."""
        return super().loglikelihood_rolling(self._shielded(requests), disable_tqdm=True)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Return the answers, truncated at the tasks' stop sequences."""
        requests = self._shielded(requests)
        answers: dict[int, str] = {}
        with self._counting(len(requests), "answers"):
            for indices in self._answered_alike(requests):
                batch = [requests[index] for index in indices]
                texts = super().generate_until(batch, disable_tqdm=True)
                answers |= dict(zip(indices, texts, strict=True))
        return [answers[index] for index in range(len(requests))]

    def _answered_alike(self, requests: list[Instance]) -> list[list[int]]:
        if short_context(self._rope) is None:
            return [list(range(len(requests)))]
        lengths = []
        for request in requests:
            prompt, options = request.args
            new = normalize_gen_kwargs(options, self.max_gen_toks)["max_gen_toks"]
            lengths.append(min(len(self.tok_encode(prompt)) + new, self.max_length))
        return answered_alike(self._rope, lengths)

    def score_tokens(self, requests: list[tuple[list[int], list[int]]]) -> list[float]:
        """Return Σ log p(continuation | context) for pairs of token ids."""
        named = [(("", str(index)), *request) for index, request in enumerate(requests)]
        with self._counting(len(requests), "held-out loss"):
            return [score for score, _ in self._loglikelihood_tokens(named, disable_tqdm=True)]

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = True,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        longest = self.max_length + 1  # the last token is only predicted
        lengths = [min(len(a) + len(b), longest) - 1 for _, a, b in requests]
        if len(groups := read_alike(self._rope, lengths)) > 1:
            return self._score_groups(requests, groups, override_bs)
        pairs = [(context, continuation) for _, context, continuation in requests]
        fits = all(len(a) + len(b) <= self.max_length for a, b in pairs)
        if not (fits and self._is_plain() and share_of_tokens(pairs) < _SHARED_ENOUGH):
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for index, score, greedy in score_shared(self.model, pairs, self.batch_size):
            answers[index] = (score, greedy)
            self.cache_hook.add_partial("loglikelihood", requests[index][0], answers[index])
        return answers

    def _score_groups(
        self, requests: list[Any], groups: list[list[int]], override_bs: int | None
    ) -> list[tuple[float, bool]]:
        answers: dict[int, tuple[float, bool]] = {}
        for indices in groups:
            batch = [requests[index] for index in indices]
            results = self._loglikelihood_tokens(batch, True, override_bs)
            answers |= dict(zip(indices, results, strict=True))
        return [answers[index] for index in range(len(requests))]

    def note_beginning(self, prompt: list[int]) -> None:
        """Record the number of BOS tokens that a prompt begins with."""
        self.beginnings.add(count_leading(prompt, self.tokenizer.bos_token_id))

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the ids of a prompt and of the answer to it.

        The harness scores white space that ends a prompt as part of the answer. What a template
        ends a prompt with (a line break, an empty thinking block) stays part of the prompt here, as
        in training.
        """
        if not self.prompts.was_rendered(context):
            pair: tuple[list[int], list[int]] = super()._encode_pair(context, continuation)
            return pair
        prompt, whole = self.tok_encode(context), self.tok_encode(context + continuation)
        shared = 0
        while shared < min(len(prompt), len(whole) - 1) and prompt[shared] == whole[shared]:
            shared += 1
        return whole[:shared], whole[shared:]

    def _shielded(self, requests: list[Instance]) -> list[Instance]:
        """Return the requests with control tokens shielded in texts that no template rendered."""
        shielded = []
        for request in requests:
            context, *rest = request.arguments
            arguments = (
                self.prompts.shield(context),
                *(self._controls.shield(text) if isinstance(text, str) else text for text in rest),
            )
            shielded.append(dataclasses.replace(request, arguments=arguments))
        if shielded and shielded[0].args[0]:
            self.note_beginning(self.tok_encode(shielded[0].args[0]))
        return shielded

    def _counting(self, total: int, label: str) -> _Count:
        return _Count(self, self._stage.progress(total, "requests", label))

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
            return self._generate_as_hflm(context, max_length, stop, generation_kwargs)
        return self._decoder.decode(context, mask, max_length - context.shape[1], stop)

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
        for row, tokens in enumerate(engine.generate(prompts, sampling)):
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


def count_leading(ids: list[int], token: int | None) -> int:
    """Return the number of `token` at the beginning of `ids`."""
    count = 0
    while token is not None and count < len(ids) and ids[count] == token:
        count += 1
    return count


class _Count(CacheHook):
    """A cache hook that counts answers instead of storing them."""

    def __init__(self, model: HarnessModel, bar: Progress) -> None:
        super().__init__(None)
        self._model, self._bar = model, bar

    def add_partial(self, attr: str, req: Iterable[Any], res: Any) -> None:
        self._bar.advance()

    def __enter__(self) -> None:
        self._bar.__enter__()
        self._model.set_cache_hook(self)

    def __exit__(self, *error: Any) -> None:
        self._model.set_cache_hook(CacheHook(None))
        self._bar.__exit__(*error)

"""The harness's Hugging Face model with quiet progress and a leaner greedy decoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache

from storm_evaluation.harness.shared_prompt import score_shared, share_of_tokens
from storm_exp import InputError, Progress, StageContext
from storm_inference.factor_change import generate_through
from storm_models.chat.control_tokens import ControlTokens
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.chat.template import UnusableChat
from storm_models.families.model_config import model_config
from storm_models.families.rope import answered_alike, read_alike, short_context

_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Architectures whose key-value cache is a plain one; others compute as HFLM does."""
_SHARED_ENOUGH = 0.8
_TEXT_STOP_EVERY = 4
_PLAIN_GREEDY = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_length": 0,
    "num_beams": 1,
    "penalty_alpha": 0.0,
}
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


class HarnessModel(HFLM):
    """Answers the harness's requests as HFLM does, and tells a stage how far it is."""

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
    ) -> None:
        """Wrap a loaded model; `max_new_tokens` bounds answers of tasks that set none.

        Without a renderer it cannot be asked with a chat template.
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
        self._max_new_tokens = max_new_tokens
        self._renderer = renderer
        self._controls = renderer.controls if renderer else ControlTokens(tokenizer)
        self._end = tokenizer.eos_token_id
        self._adds_end = tokenizer("a")["input_ids"][-1:] == [self._end]
        self._rendered: dict[int, set[str]] = {}
        self.beginnings: set[int] = set()
        """Numbers of BOS tokens that prompts were seen to begin with."""
        self.remarks: set[str] = set()
        """What is to be said of how questions were rendered."""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return a chat as text, as every other stage renders it.

        Without `add_generation_prompt` the text goes on through the last message, which begins
        the answer. A benchmark's question is asked even where a control token stands in it: it is
        encoded as text. Where the template has no place for the system's words (Gemma's), they open
        the question, and nothing is left out. Raises InputError for a chat that the template
        refuses.
        """
        assert self._renderer is not None, "the plan refuses chat templates that are not there"
        messages = [
            {**message, "content": self._controls.shield(message["content"])}
            for message in chat_history
        ]
        begun = "" if add_generation_prompt else messages.pop()["content"]
        text = self._asked(messages) + begun
        self.note_rendered(text)
        return text

    def _asked(self, messages: list[dict[str, str]]) -> str:
        assert self._renderer is not None
        system = messages[0] if messages and messages[0]["role"] == "system" else None
        try:
            text = self._renderer.text(Conversation(messages), ask=True)
            if system is None or len(messages) < 2 or system["content"].strip() in text:
                return text
        except UnusableChat as reason:
            if system is None or len(messages) < 2:
                raise InputError(f"a question cannot be asked: {reason}") from reason
        assert system is not None
        self.remarks.add("the system's words open the question: the template has no place for them")
        question = f"{system['content']}\n\n{messages[1]['content']}"
        return self._asked([{**messages[1], "content": question}, *messages[2:]])

    def note_rendered(self, text: str) -> None:
        """Remember a prompt whose control tokens a template wrote."""
        self._rendered.setdefault(len(text), set()).add(text)

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **further: Any,
    ) -> list[int]:
        """Return the ids of a text, with at most one BOS; shielded control tokens as text."""
        first, *rest = self._controls.unshield(string)
        ids = super().tok_encode(first, add_special_tokens, **further)
        if self._adds_end:  # no text that goes on ends there, whatever the tokenizer adds
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
        """Return the ids of several texts, each as `tok_encode` gives them, and their mask."""
        rows = [self.tok_encode(text, left_truncate_len=left_truncate_len) for text in strings]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            filled = slice(width - len(row), None) if padding_side == "left" else slice(len(row))
            ids[place, filled] = torch.tensor(row, dtype=torch.long)
            mask[place, filled] = 1
        return ids, mask

    @property
    def max_gen_toks(self) -> int:
        """The longest answer where the task does not say."""
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
        """Return the answers, cut at the tasks' stop sequences."""
        requests = self._shielded(requests)
        answers: dict[int, str] = {}
        with self._counting(len(requests), "answers"):
            for places in self._answered_alike(requests):
                given = [requests[place] for place in places]
                found = super().generate_until(given, disable_tqdm=True)
                answers |= dict(zip(places, found, strict=True))
        return [answers[place] for place in range(len(requests))]

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
        longest = self.max_length + 1  # of which the last token is not read
        lengths = [min(len(a) + len(b), longest) - 1 for _, a, b in requests]
        if len(groups := read_alike(self._rope, lengths)) > 1:
            return self._apart(requests, groups, override_bs)
        pairs = [(context, continuation) for _, context, continuation in requests]
        fits = all(len(a) + len(b) <= self.max_length for a, b in pairs)
        if not (fits and self._is_plain() and share_of_tokens(pairs) < _SHARED_ENOUGH):
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for index, score, greedy in score_shared(self.model, pairs, self.batch_size):
            answers[index] = (score, greedy)
            self.cache_hook.add_partial("loglikelihood", requests[index][0], answers[index])
        return answers

    def _apart(
        self, requests: list[Any], groups: list[list[int]], override_bs: int | None
    ) -> list[tuple[float, bool]]:
        answers: dict[int, tuple[float, bool]] = {}
        for places in groups:
            given = [requests[place] for place in places]
            found = self._loglikelihood_tokens(given, True, override_bs)
            answers |= dict(zip(places, found, strict=True))
        return [answers[place] for place in range(len(requests))]

    def note_beginning(self, prompt: list[int]) -> None:
        """Note how many BOS tokens a prompt begins with."""
        self.beginnings.add(count_leading(prompt, self.tokenizer.bos_token_id))

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the ids of a prompt and of the answer to it.

        The harness scores white space that ends a prompt as part of the answer. What a template
        ends a prompt with (a line break, empty thoughts) is nothing that an answer says, and was
        not learnt as such.
        """
        if context not in self._rendered.get(len(context), ()):
            pair: tuple[list[int], list[int]] = super()._encode_pair(context, continuation)
            return pair
        prompt, whole = self.tok_encode(context), self.tok_encode(context + continuation)
        shared = 0
        while shared < min(len(prompt), len(whole) - 1) and prompt[shared] == whole[shared]:
            shared += 1
        return whole[:shared], whole[shared:]

    def _shielded(self, requests: list[Instance]) -> list[Instance]:
        """Return the requests with control tokens in texts that no template wrote as text."""
        found = []
        for request in requests:
            context, *rest = request.arguments
            arguments = (
                self._shield(context),
                *(self._controls.shield(text) if isinstance(text, str) else text for text in rest),
            )
            found.append(dataclasses.replace(request, arguments=arguments))
        if found and found[0].args[0]:
            self.note_beginning(self.tok_encode(found[0].args[0]))
        return found

    def _shield(self, context: str) -> str:
        for length in sorted(self._rendered, reverse=True):
            if context[:length] in self._rendered[length]:
                return context[:length] + self._controls.shield(context[length:])
        # Asked with a template, and put together in a way that is not known here.
        return context if self._rendered else self._controls.shield(context)

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
        if mask is None or not self._is_plain_greedy(generation_kwargs):
            return self._generate_as_hflm(context, max_length, stop, generation_kwargs)
        with torch.inference_mode():
            return self._decode_greedily(context, mask, max_length - context.shape[1], stop)

    def _generate_as_hflm(
        self, context: torch.Tensor, max_length: int, stop: list[str], asked: dict[str, Any]
    ) -> torch.Tensor:
        theirs, mask = super()._model_generate, asked.get("attention_mask")

        def generate(given: torch.Tensor, mask: torch.Tensor | None, most: int) -> torch.Tensor:
            written: torch.Tensor = theirs(given, most, stop, **{**asked, "attention_mask": mask})
            return written

        with torch.no_grad():
            if mask is None:
                return generate(context, mask, max_length)
            ends = self._ending_tokens(stop).tolist()
            return generate_through(self._rope, context, mask, max_length, ends, generate)

    def _is_plain(self) -> bool:
        known = self.model.config.model_type in _FAMILIES and short_context(self._rope) is None
        return known and self.mixed_precision_dtype is None

    def _is_plain_greedy(self, asked: dict[str, Any]) -> bool:
        if asked.get("do_sample") or asked.get("temperature", 0.0) not in (0, None):
            return False
        if set(asked) - {"attention_mask", "do_sample", "temperature"}:
            return False
        if not self._is_plain():
            return False
        settings = self.model.generation_config
        for name, neutral in _PLAIN_GREEDY.items():
            if getattr(settings, name, None) not in (None, neutral):
                return False
        return all(not getattr(settings, name, None) for name in _ABSENT)

    def _decode_greedily(
        self, context_BT: torch.Tensor, mask_BT: torch.Tensor, steps: int, stop: list[str]
    ) -> torch.Tensor:
        """Return context and answer, padded: argmax until every row has stopped.

        Rows that have stopped leave the batch, which `generate` computes to the end.
        """
        batch = context_BT.shape[0]
        ends = self._ending_tokens(stop)
        texts = [s for s in stop if s and self._single_token(s) is None]
        answers = torch.full(
            (batch, steps), self.tokenizer.pad_token_id, dtype=torch.long, device=context_BT.device
        )
        rows = torch.arange(batch, device=context_BT.device)
        cache = DynamicCache(config=self.model.config)
        tokens_BT, positions_BT = context_BT, (mask_BT.cumsum(-1) - 1).clamp(min=0)
        for step in range(steps):
            output = self.model(
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
                written = self.tokenizer.batch_decode(answers[rows, : step + 1])
                going &= torch.tensor(
                    [not any(text in answer for text in texts) for answer in written],
                    device=going.device,
                )
            if not going.any():
                break
            positions_BT = positions_BT[:, -1:] + 1
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
            if not going.all():
                kept = going.nonzero()[:, 0]
                cache.batch_select_indices(kept)
                rows, chosen = rows[kept], chosen[kept]
                mask_BT, positions_BT = mask_BT[kept], positions_BT[kept]
            tokens_BT = chosen[:, None]
        return torch.cat([context_BT, answers], dim=1)

    def _ending_tokens(self, stop: list[str]) -> torch.Tensor:
        ending = self.model.generation_config.eos_token_id
        found = set(ending if isinstance(ending, list) else [ending])
        found |= {self._single_token(text) for text in stop}
        return torch.tensor(sorted(found - {None}), dtype=torch.long, device=self.device)

    def _single_token(self, text: str) -> int | None:
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return ids[0] if len(ids) == 1 and self.tokenizer.decode(ids) == text else None


def count_leading(ids: list[int], token: int | None) -> int:
    """Return how often `token` stands at the very beginning of `ids`."""
    count = 0
    while token is not None and count < len(ids) and ids[count] == token:
        count += 1
    return count


class _Count(CacheHook):
    """Stands where the harness would remember answers, and counts them."""

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

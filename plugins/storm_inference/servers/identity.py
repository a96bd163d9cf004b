"""Check that a running server serves the stage's checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from storm_exp import InputError, StageContext
from storm_inference.servers.server import Refused, Server, Unavailable
from storm_models.checkpoint.checkpoint import Checkpoint

TEXT = "The quick brown fox jumps over 13 lazy dogs. Is 2 + 2 = 4? def f(x): return x"
"""The canary: a text whose token ids and log-probabilities are compared."""
_TOKENS = 48
_TOLERANCE = {"float32": 0.01, "bfloat16": 0.05, "float16": 0.05}
_QUANTISED_TOLERANCE = 0.1
"""Largest accepted mean difference of log-probabilities on the canary. The tolerances cover
rounding in the number format or of quantised weights; fine-tuning usually changes more."""
_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """How to recognise a server of a checkpoint."""

    expected: dict[str, Any]
    """What `canary` returns for the checkpoint."""
    dtype: str
    quantised: bool
    """Raises the tolerance."""
    max_length: int | None

    def check(self, server: Server) -> str:
        """Return the name under which a server serves the checkpoint.

        Raises InputError if the token ids or log-probabilities of a text differ, or if the server
        accepts less than `max_length` tokens.
        """
        try:
            models = server.models()
            if not models:
                raise InputError(f"{server.url}/v1/models lists no model")
            length, most = models[0].get("max_model_len"), self.max_length
            if most is not None and isinstance(length, int) and length < most:
                problem = f"accepts at most {length} tokens, and this stage needs up to {most}"
                raise InputError(f"{server.url} {problem}: start it with --max-model-len {most}")
            name = str(models[0]["id"])
            _check_tokens(server, name, self.expected["ids"])
            tolerance = _TOLERANCE.get(self.dtype, _TOLERANCE["bfloat16"])
            tolerance = _QUANTISED_TOLERANCE if self.quantised else tolerance
            _check_logs(server, name, self.expected, tolerance)
        except (Unavailable, Refused) as error:
            raise InputError(f"inference.urls: {error}") from error
        return name

    def problem(self, server: Server) -> str:
        """Return why a server does not serve the checkpoint under the same name; '' if it does."""
        try:
            name = self.check(server)
        except InputError as error:
            return str(error)
        return "" if name == server.model else f"its model is called {name}, not {server.model}"


def canary(stage: StageContext, model: Checkpoint) -> dict[str, Any]:
    """Return the canary's token ids, and log-probabilities of all tokens but the first.

    They are kept as a memo of the checkpoint.
    """
    file = "canary.json"

    def fill(folder: Path) -> None:
        import torch

        ids = model.tokenizer()(TEXT, add_special_tokens=False)["input_ids"][:_TOKENS]
        network = model.load("auto", "cpu")
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([ids])).logits[0, :-1].float()
        logs = logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        text = json.dumps({"ids": ids, "logs": logs.tolist()})
        (folder / file).write_text(text, encoding="utf-8")

    folder = stage.memo("canary", _VERSION, {"model": model}, fill)
    expected: dict[str, Any] = json.loads((folder / file).read_text(encoding="utf-8"))
    return expected


def _check_tokens(server: Server, name: str, ids: list[int]) -> None:
    body = {"model": name, "prompt": TEXT, "add_special_tokens": False}
    answer = server.post("/tokenize", body)
    theirs = answer.get("tokens") if isinstance(answer, dict) else None
    if not isinstance(theirs, list) or theirs[: len(ids)] != ids:
        problem = "serves another model: its token ids differ from those of this stage's checkpoint"
        raise InputError(f"{server.url} {problem}")


def _check_logs(server: Server, name: str, expected: dict[str, Any], tolerance: float) -> None:
    ids, logs = expected["ids"], expected["logs"]
    body = {"model": name, "prompt": ids, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    answer = server.post("/v1/completions", body)
    try:
        entries = answer["choices"][0]["prompt_logprobs"][1:]
        theirs = [
            float(entry[str(token)]["logprob"])
            for entry, token in zip(entries, ids[1:], strict=True)
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        text = f"{server.url} returns no log-probabilities of a prompt: {str(answer)[:200]}"
        raise InputError(text) from error
    difference = math.fsum(abs(a - b) for a, b in zip(theirs, logs, strict=True)) / len(logs)
    if not difference <= tolerance:
        problem = "serves another model: its log-probabilities of a text differ by"
        problem += f" {difference:.3g} on average (at most {tolerance:g} is accepted)"
        raise InputError(f"{server.url} {problem}")

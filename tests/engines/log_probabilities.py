"""Log-probabilities of every token of a text but the first, from vLLM and from transformers."""

from __future__ import annotations

import torch

from storm_inference.servers.server import Server
from storm_models.checkpoint.checkpoint import Checkpoint


def served(server: Server, ids: list[int]) -> list[float]:
    """Return what a server gives the tokens of a prompt."""
    request = {"model": server.model, "prompt": ids, "max_tokens": 1, "prompt_logprobs": 0}
    answer = server.post("/v1/completions", request)
    found = answer["choices"][0]["prompt_logprobs"][1:]
    return [place[str(token)]["logprob"] for place, token in zip(found, ids[1:], strict=True)]


def computed(model: Checkpoint, ids: list[int]) -> list[float]:
    """Return what transformers gives them, in 32 bits."""
    network = model.load("float32").eval()
    with torch.inference_mode():
        scores = network(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(1)
    found: list[float] = scores.gather(1, torch.tensor(ids[1:])[:, None]).squeeze(1).tolist()
    return found

"""Forward passes over a token set without training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from storm_exp import StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.devices import choose_device
from storm_training.attention.implementation import attention, choose_attention
from storm_training.data.packing import PackedBatch, build_batch, pack
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.precision import choose_precision
from storm_training.losses import Head, log_probabilities, top_k
from storm_training.objectives.objective import supervised_states
from storm_training.objectives.preference import per_segment


def score_pairs(
    stage: StageContext,
    model: Checkpoint,
    pairs: TokenSequences,
    *,
    length: int,
    rows: int,
    precision: str,
) -> torch.Tensor:
    """Return log p(answer | prompt) of both answers of every pair, fp32 [pairs, 2]."""
    scores = torch.zeros(len(pairs), 2)
    with load_for_scoring(stage, model, precision) as network:
        head = Head.of(network).detach()
        for batch in batches(stage, pairs, length, rows, network.device):
            hidden, labels = supervised_states(network, batch)
            sums, _ = per_segment(log_probabilities(hidden, head, labels), batch)
            scores[batch.examples.cpu()] = sums.view(-1, 2).float().cpu()
    return scores


def store_top_k(
    stage: StageContext,
    model: Checkpoint,
    sequences: TokenSequences,
    split: str,
    *,
    k: int,
    length: int,
    rows: int,
    precision: str,
) -> float:
    """Write a split's files (see `TopKLogits`); return the mean probability of the k tokens."""
    counts = [int(np.count_nonzero(sequences[i][1][1:])) for i in range(len(sequences))]
    ends = np.cumsum(counts, dtype=np.int64)
    ends.tofile(stage.directory / f"{split}.ends.bin")
    total = int(ends[-1])
    ids = _create(stage.directory / f"{split}.ids.bin", np.int32, (total, k))
    scores = _create(stage.directory / f"{split}.scores.bin", np.float32, (total, k + 1))
    with load_for_scoring(stage, model, precision) as network:
        head = Head.of(network).detach()
        for batch in batches(stage, sequences, length, rows, network.device):
            hidden, _ = supervised_states(network, batch)
            likely = top_k(hidden, head, k)
            start = 0
            for example in batch.examples.tolist():
                stop, end = start + counts[example], int(ends[example])
                span = slice(end - counts[example], end)
                ids[span] = likely.ids[start:stop].cpu().numpy()
                log_probs = likely.log_probabilities[start:stop]
                scores[span, :-1] = log_probs.float().cpu().numpy()
                scores[span, -1] = likely.rest[start:stop].float().cpu().numpy()
                start = stop
    for array in (ids, scores):
        array.flush()
    return float(1 - np.exp(scores[:, -1], dtype=np.float64).mean())


def _create(file: Path, dtype: type, shape: tuple[int, int]) -> np.memmap:
    return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


@contextlib.contextmanager
def load_for_scoring(
    stage: StageContext, model: Checkpoint, precision: str
) -> Iterator[PreTrainedModel]:
    """Yield the loaded model, set up to compute as in training but without gradients."""
    with contextlib.ExitStack() as stack:
        device = stack.enter_context(stage.compute())
        network = model.load(dtype="float32", device=device)
        stack.enter_context(torch.no_grad())
        resolved = stack.enter_context(packed_attention(stage, network, precision))
        if resolved != "float32":
            stack.enter_context(torch.autocast(device.partition(":")[0], dtype=torch.bfloat16))
        yield network


@contextlib.contextmanager
def packed_attention(
    stage: StageContext, network: PreTrainedModel, precision: str
) -> Iterator[str]:
    """Let `network` compute packed documents as training does; yields the resolved precision."""
    accelerator = "cpu" if choose_device(stage.runtime.device) == "cpu" else "gpu"
    resolved = choose_precision(precision, accelerator)
    with attention(network, choose_attention("auto", network, accelerator, resolved)):
        yield resolved


def batches(
    stage: StageContext, sequences: TokenSequences, length: int, rows: int, device: torch.device
) -> Iterator[PackedBatch]:
    """Yield all examples packed into rows, in a fixed order, with a progress bar."""
    lengths = sequences.lengths()
    capacity = max(length, int(lengths.max(initial=1)))
    packed = pack(lengths, np.arange(len(lengths)), capacity)
    passes = [packed[start : start + rows] for start in range(0, len(packed), rows)]
    with stage.progress(len(passes), "passes", "scoring") as bar:
        for batch_rows in passes:
            yield build_batch(sequences, batch_rows).to(device)
            bar.advance()

"""Forward passes without training: what a model says of a token set."""

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
    with answering(stage, model, precision) as network:
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
    """Write a teacher's answers (see `TopKLogits`); return the probability that they cover.

    That is the mean over positions of the k tokens' probability.
    """
    counts = [int(np.count_nonzero(sequences[i][1][1:])) for i in range(len(sequences))]
    ends = np.cumsum(counts, dtype=np.int64)
    ends.tofile(stage.directory / f"{split}.ends.bin")
    total = int(ends[-1])
    ids = _new(stage.directory / f"{split}.ids.bin", np.int32, (total, k))
    scores = _new(stage.directory / f"{split}.scores.bin", np.float32, (total, k + 1))
    with answering(stage, model, precision) as network:
        head = Head.of(network).detach()
        for batch in batches(stage, sequences, length, rows, network.device):
            hidden, _ = supervised_states(network, batch)
            kept = top_k(hidden, head, k)
            start = 0
            for example in batch.examples.tolist():
                stop, end = start + counts[example], int(ends[example])
                place = slice(end - counts[example], end)
                ids[place] = kept.ids[start:stop].cpu().numpy()
                scores[place, :-1] = kept.log_probabilities[start:stop].float().cpu().numpy()
                scores[place, -1] = kept.rest[start:stop].float().cpu().numpy()
                start = stop
    for array in (ids, scores):
        array.flush()
    return float(1 - np.exp(scores[:, -1], dtype=np.float64).mean())


def _new(file: Path, dtype: type, shape: tuple[int, int]) -> np.memmap:
    return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


@contextlib.contextmanager
def answering(stage: StageContext, model: Checkpoint, precision: str) -> Iterator[PreTrainedModel]:
    """Load a model to be asked, as training would compute it, without gradients."""
    with contextlib.ExitStack() as during:
        device = during.enter_context(stage.compute())
        network = model.load(dtype="float32", device=device)
        during.enter_context(torch.no_grad())
        chosen = during.enter_context(asked(stage, network, precision))
        if chosen != "32":
            during.enter_context(torch.autocast(device.partition(":")[0], dtype=torch.bfloat16))
        yield network


@contextlib.contextmanager
def asked(stage: StageContext, network: PreTrainedModel, precision: str) -> Iterator[str]:
    """Let a model compute packed documents as training does; yields the precision decided on."""
    accelerator = "cpu" if choose_device(stage.runtime.device) == "cpu" else "gpu"
    chosen = choose_precision(precision, accelerator)
    with attention(network, choose_attention("auto", network, accelerator, chosen)):
        yield chosen


def batches(
    stage: StageContext, sequences: TokenSequences, length: int, rows: int, device: torch.device
) -> Iterator[PackedBatch]:
    """Yield all examples in packed rows, in a fixed order, with a progress bar."""
    lengths = sequences.lengths()
    capacity = max(length, int(lengths.max(initial=1)))
    packed = pack(lengths, np.arange(len(lengths)), capacity)
    passes = [packed[start : start + rows] for start in range(0, len(packed), rows)]
    with stage.progress(len(passes), "passes", "scoring") as bar:
        for one in passes:
            yield build_batch(sequences, one).to(device)
            bar.advance()

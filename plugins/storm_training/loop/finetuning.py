"""Fine-tuning a checkpoint: read, select parameters, train, write."""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from storm_exp import StageContext
from storm_models.chat.stops import add_stops, learnt_stops, read_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import read_new_layers
from storm_models.checkpoint.spec import readable_count
from storm_models.folder.generation_config import GENERATION_FILE
from storm_report.counted import counted
from storm_training.data.packed_rows import write_examples
from storm_training.data.token_set import TokenSet
from storm_training.data.training_rows import TrainingRows, read_rows, require_rows
from storm_training.loop.finetuned_checkpoint import stored_names, write_changed, write_checkpoint
from storm_training.loop.loader import plan_run
from storm_training.loop.trainer import train
from storm_training.loop.training_log import TrainingLog
from storm_training.objectives.objective import Objective
from storm_training.optim.settings import TrainingSettings
from storm_training.trainable.layer_table import LayerRow, LayerTable, require_same_model
from storm_training.trainable.selection import choose, shuffled
from storm_training.trainable.settings import RANDOM, TrainableSettings


def finetune(
    stage: StageContext,
    settings: TrainingSettings,
    model: Checkpoint,
    tokens: TokenSet,
    objective: Objective,
    *,
    trainable: TrainableSettings,
    layers: LayerTable | None = None,
    cut: bool = False,
) -> Checkpoint:
    """Train the parameters that `trainable` selects, and write the checkpoint and training.json.

    With `cut`, sequences longer than a row are cut into chunks; otherwise they are left out and
    counted. Raises InputError when no example can be used or no parameter is selected.
    """
    stage.say("reading model and tokens")
    positions = model.config().get("max_position_embeddings") or settings.sequence_length
    longest = min(settings.sequence_length, int(positions))
    rows = read_rows(tokens, "train", longest, cut=cut)
    require_rows(rows, tokens, longest)
    if any(rows.dropped.values()):
        reasons = ", ".join(f"{count} {reason}" for reason, count in rows.dropped.items())
        stage.say(f"{counted(len(rows.sequences), 'example')}; left out: {reasons}")
    held_out: TrainingRows | None = None
    if settings.validation_rows and tokens.count("validation"):
        limit = settings.validation_rows
        held_out = read_rows(tokens, "validation", longest, cut=cut, limit=limit)
    objective.prepare(rows.indices, held_out.indices if held_out else None)
    modules = _modules(model, layers)
    network, trained = _prepare(stage, settings, trainable, model, modules)
    ratios = {row["name"]: row["snr"] for row in modules}
    table = _trainable_table(network, trained, ratios)
    stage.say(_describe(table))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trained)
    stops = learnt_stops(model.tokenizer(), tokens.ends())
    log = train(
        network,
        rows.sequences,
        settings,
        stage,
        validation=held_out.sequences if held_out else None,
        objective=objective,
        write=lambda folder: _write(folder, trainable.low_rank, model, network, trained, stops),
    )
    if stage.rank > 0:
        return Checkpoint(stage.directory)
    result = _write(stage.directory, trainable.low_rank, model, network, trained, stops)
    stopping = _stopping(stage, model, result, stops)
    record = {
        "objective": objective.name,
        "method": trainable.method,
        "counts": objective.counts,
        "precision": log.precision,
        "attention": log.attention,
        "dtypes": sorted({dtype for dtype, _ in model.headers().values()}),
        "tokens_per_step": round(sum(entry["tokens"] for entry in log.steps) / len(log.steps)),
        "rows": rows.record(),
        "validation_rows": held_out.record() if held_out else {"used": 0, "dropped": {}},
        "stops": stopping,
        "trainable": table,
        "kept": log.kept,
        "validation": log.validation,
        "steps": log.steps,
    }
    (stage.directory / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    write_examples(
        stage.directory,
        model.tokenizer(),
        rows.sequences,
        plan_run(rows.sequences, settings),
        longest=longest,
        cut=cut,
        capacity=settings.sequence_length,
    )
    measured = f"{objective.name} on {held_out.sequences.digest()}" if held_out else ""
    _report(stage, log, table, measured)
    return result


def _modules(model: Checkpoint, layers: LayerTable | None) -> list[LayerRow]:
    if layers is None:
        return []
    require_same_model(model.spec().shapes, layers.shapes())
    return layers.modules()


def _prepare(
    stage: StageContext,
    settings: TrainingSettings,
    trainable: TrainableSettings,
    model: Checkpoint,
    modules: list[LayerRow],
) -> tuple[PreTrainedModel, set[str]]:
    """Return the loaded model, and the names of the parameters that train."""
    if trainable.method == "qlora":
        from storm_training.trainable.low_rank import load_quantised

        network = load_quantised(stage, model)
    else:
        network = model.load(dtype="bfloat16" if settings.precision == "bfloat16" else "float32")
        stored_names(model, network)
    if trainable.low_rank:
        from storm_training.trainable.low_rank import add_updates

        return network, add_updates(network, trainable, settings.seed)
    if trainable.control == RANDOM:
        modules = shuffled(modules, settings.seed)
    new_layers = read_new_layers(model.directory) or []
    names = [name for name, _ in network.named_parameters()]
    return network, choose(trainable, names, modules=modules, new_layers=new_layers)


def _write(
    directory: Path,
    low_rank: bool,
    model: Checkpoint,
    network: PreTrainedModel,
    trained: set[str],
    stops: Iterable[int],
) -> Checkpoint:
    if low_rank:
        from storm_training.trainable.low_rank import save_updates, weight_changes

        save_updates(network, directory / "adapter")
        result = write_changed(model, weight_changes(network), directory)
    else:
        result = write_checkpoint(model, network, trained, directory)
    add_stops(directory, stops)
    return result


def _stopping(
    stage: StageContext, model: Checkpoint, result: Checkpoint, learnt: Mapping[int, str]
) -> dict[str, Any]:
    """Return the stop tokens before and after training and the learnt ones; reports new ones."""
    before, after = read_stops(model.directory), read_stops(result.directory)
    new = [f"{learnt[token]} ({token})" for token in after if token not in before]
    if new:
        stage.say(
            f"it learnt to end with {', '.join(new)}, which {GENERATION_FILE} now names beside "
            f"{', '.join(map(str, before)) or 'nothing'}"
        )
    return {"before": before, "learnt": list(learnt.values()), "after": after}


def _trainable_table(
    network: PreTrainedModel, trained: set[str], ratios: dict[str, float]
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": list(parameter.shape),
            "parameters": math.prod(parameter.shape),
            "trained": name in trained,
            "snr": ratios.get(name),
        }
        for name, parameter in network.named_parameters()
    ]


def _describe(table: list[dict[str, Any]]) -> str:
    total = sum(row["parameters"] for row in table)
    trained = sum(row["parameters"] for row in table if row["trained"])
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for row in table:
        if row["name"].endswith(".weight"):
            kind = row["name"].removesuffix(".weight").rsplit(".", 1)[-1]
            counts[kind][0] += row["trained"]
            counts[kind][1] += 1
    kinds = ", ".join(f"{kind} {part}/{whole}" for kind, (part, whole) in counts.items() if part)
    return (
        f"trains {readable_count(trained)} of {readable_count(total)} parameters "
        f"({trained / total:.0%}): {kinds}"
    )


def _report(
    stage: StageContext, log: TrainingLog, table: list[dict[str, Any]], measured: str
) -> None:
    """Report the metrics; `measured` names objective and data of the validation loss."""
    last = log.steps[-max(1, len(log.steps) // 10) :]
    supervised = sum(entry["supervised"] for entry in last)
    loss = sum(entry["loss"] * entry["supervised"] for entry in last) / supervised
    stage.metric("training_loss", loss, main=not log.validation)
    if log.validation:
        step = len(log.steps) if log.kept is None else log.kept
        kept = next(entry for entry in log.validation if entry["step"] == step)
        stage.metric("validation_loss", kept["loss"], main=True, on=measured)
        stage.metric("validation_loss_before", log.validation[0]["loss"], on=measured)
    stage.metric("steps", len(log.steps))
    stage.metric("trained_parameters", sum(r["parameters"] for r in table if r["trained"]))

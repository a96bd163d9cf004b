"""Fine-tuning a checkpoint: read, select parameters, train, write."""

from __future__ import annotations

import collections
import json
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel

from storm_exp import Artifact, SettingError, StageContext
from storm_models.chat.stops import learnt_stops, read_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import read_new_layers
from storm_models.checkpoint.spec import readable_count
from storm_models.folder.generation_config import GENERATION_FILE
from storm_report.counted import counted
from storm_training.data.token_set import TokenSet
from storm_training.data.training_rows import TrainingRows, read_rows, require_rows
from storm_training.loop.finetuned_checkpoint import stored_names
from storm_training.loop.interim_models import InterimModels
from storm_training.loop.loader import plan_run
from storm_training.loop.trained_model import RECORD, TrainedModel
from storm_training.loop.trainer import train
from storm_training.objectives.objective import Objective
from storm_training.optim.interim import InterimSettings
from storm_training.optim.settings import TrainingSettings
from storm_training.trainable.layer_table import LayerRow, LayerTable, require_same_model
from storm_training.trainable.selection import choose, shuffled
from storm_training.trainable.settings import RANDOM, TrainableSettings


def finetune(
    stage: StageContext,
    settings: InterimSettings,
    model: Checkpoint,
    tokens: TokenSet,
    objective: Objective,
    *,
    trainable: TrainableSettings,
    layers: LayerTable | None = None,
    cut: bool = False,
    inputs: Mapping[str, Artifact | None] | None = None,
) -> Checkpoint:
    """Train the parameters that `trainable` selects, and write the checkpoint and training.json.

    With `cut`, sequences longer than a row are cut into chunks; otherwise they are left out and
    counted. `inputs` are the artifacts that determine the result, by default `model`, `tokens` and
    `layers`. Raises InputError when no example can be used or no parameter is selected.
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
    measured = f"{objective.name} on {held_out.sequences.digest()}" if held_out else ""
    plan = plan_run(rows.sequences, settings)
    last = settings.last_step(len(plan))
    given = inputs or {"model": model, "tokens": tokens, "layers": layers}
    interim = InterimModels(
        stage,
        settings.trajectory(),
        {port: artifact for port, artifact in given.items() if artifact is not None},
        settings.kept_steps(len(plan)),
    )
    if last is not None and last >= len(plan):
        problem = f"training ends after {len(plan)} steps: stop before, or leave it out"
        raise SettingError("stop_after", last, problem)
    if last is not None and interim.find(last) is not None:
        stage.say(f"the model after step {last} was kept by a training that went on")
        return _take(stage, interim, last, measured)
    objective.prepare(rows.indices, held_out.indices if held_out else None)
    modules = _modules(model, layers)
    network, trained = _prepare(stage, settings, trainable, model, modules)
    trained_model = TrainedModel(
        source=model,
        network=network,
        trained=trained,
        method=trainable.method,
        low_rank=trainable.low_rank,
        objective=objective,
        ratios={row["name"]: row["snr"] for row in modules},
        stops=learnt_stops(model.tokenizer(), tokens.ends()),
        rows=rows,
        held_out=held_out,
        plan=plan,
        longest=longest,
        cut=cut,
        capacity=settings.sequence_length,
    )
    stage.say(_describe(trained_model.table()))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trained)
    interim.write = trained_model.write
    log = train(
        network,
        rows.sequences,
        settings,
        stage,
        validation=held_out.sequences if held_out else None,
        objective=objective,
        write=trained_model.write_weights,
        interim=interim if interim.steps else None,
        last=last,
    )
    if stage.rank > 0:
        return Checkpoint(stage.directory)
    if last is not None:
        if interim.find(last) is None:
            problem = f"patience={settings.patience} ended training after step {len(log.steps)}"
            raise SettingError("stop_after", last, problem)
        return _take(stage, interim, last, measured)
    result = trained_model.write(stage.directory, log)
    _say_stops(stage, model, result, trained_model.stops)
    _report(stage, log.steps, log.validation, log.kept, trained_model.table(), measured)
    return result


def _take(stage: StageContext, interim: InterimModels, step: int, measured: str) -> Checkpoint:
    """Return the kept model of a step, as the stage's."""
    if stage.rank == 0:
        interim.take(step)
        record = json.loads((stage.directory / RECORD).read_text(encoding="utf-8"))
        steps = record["steps"]
        stage.metric("tokens", sum(entry["tokens"] for entry in steps))
        _report(stage, steps, record["validation"], None, record["trainable"], measured)
    return Checkpoint(stage.directory)


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


def _say_stops(
    stage: StageContext, model: Checkpoint, result: Checkpoint, learnt: Mapping[int, str]
) -> None:
    """Report the stop tokens that are new after training."""
    before, after = read_stops(model.directory), read_stops(result.directory)
    new = [f"{learnt[token]} ({token})" for token in after if token not in before]
    if new:
        stage.say(
            f"it learnt to end with {', '.join(new)}, which {GENERATION_FILE} now names beside "
            f"{', '.join(map(str, before)) or 'nothing'}"
        )


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
    stage: StageContext,
    steps: list[dict[str, Any]],
    validation: list[dict[str, Any]],
    kept: int | None,
    table: list[dict[str, Any]],
    measured: str,
) -> None:
    """Report the metrics; `measured` names objective and data of the validation loss."""
    last = steps[-max(1, len(steps) // 10) :]
    supervised = sum(entry["supervised"] for entry in last)
    loss = sum(entry["loss"] * entry["supervised"] for entry in last) / supervised
    stage.metric("training_loss", loss, main=not validation)
    if validation:
        step = len(steps) if kept is None else kept
        scored = next(entry for entry in validation if entry["step"] == step)
        stage.metric("validation_loss", scored["loss"], main=True, on=measured)
        stage.metric("validation_loss_before", validation[0]["loss"], on=measured)
    stage.metric("steps", len(steps))
    stage.metric("trained_parameters", sum(r["parameters"] for r in table if r["trained"]))

"""Setting up and running Lightning's trainer; one of its batches is one optimiser step."""

from __future__ import annotations

import contextlib
import logging
import signal
import warnings
from collections.abc import Iterator

import torch
from lightning.pytorch import Callback, Trainer
from transformers import PreTrainedModel

from storm_exp import InputError, SettingError, StageContext
from storm_training.attention.implementation import attention, choose_attention
from storm_training.data.packing import StepPlan
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.callbacks.best_checkpoint import BestCheckpoint, restore_best
from storm_training.loop.callbacks.export_check import ExportCheck, Writer
from storm_training.loop.callbacks.interim_weights import InterimWeights
from storm_training.loop.callbacks.progress_logger import ProgressLogger
from storm_training.loop.callbacks.resume_checkpoint import ResumeCheckpoint, resume_file
from storm_training.loop.callbacks.stopping import Stopping
from storm_training.loop.callbacks.validation import Validator
from storm_training.loop.distributed import Distributed
from storm_training.loop.interim_models import InterimModels
from storm_training.loop.loader import StepLoader, plan_run
from storm_training.loop.loggers import build_loggers
from storm_training.loop.module import TrainingModule
from storm_training.loop.precision import choose_precision, hold_weights
from storm_training.loop.training_log import TrainingLog
from storm_training.objectives.objective import NextToken, Objective
from storm_training.optim.optimizer import check_optimizer
from storm_training.optim.settings import TrainingSettings

_PRECISION_IN_WORDS = {
    "float32": "float32",
    "bfloat16_mixed": "bfloat16 over float32 weights",
    "bfloat16": "bfloat16 weights",
}


def train(
    model: PreTrainedModel,
    sequences: TokenSequences,
    settings: TrainingSettings,
    stage: StageContext,
    *,
    validation: TokenSequences | None = None,
    objective: Objective | None = None,
    write: Writer | None = None,
    interim: InterimModels | None = None,
    last: int | None = None,
) -> TrainingLog:
    """Train `model` in place on packed `sequences`, and return the log of the losses.

    The parameters with `requires_grad` train. Weights are converted to the dtype of
    `settings.precision`, and on return are fp32, or bf16 if that was trained. Sequences longer
    than `settings.sequence_length` are an error: drop or cut them before. On return the model is
    on the CPU and in evaluation mode; if weights were sharded, only the first worker has them.
    `write` writes the model as it will be written at the end, to test saving after the first step.
    `interim` keeps the models of earlier steps; after step `last`, if given, training stops.

    Equal inputs, settings and machines give equal bits. A killed run resumes from its last
    checkpoint in `stage.scratch`, with the same bits as an undisturbed run. Sets the metrics
    `tokens` and `tokens_per_second` (without padding; the time excludes start-up, resumed steps and
    validation).

    Raises SettingError when the settings do not work with these sequences, this model or this
    device, InputError when there is nothing to learn, when the model would mix the documents of a
    row, or when the loss is not finite.
    """
    _check(model, sequences, settings)
    steps = plan_run(sequences, settings)
    devices = Distributed(stage)
    check_optimizer(settings, sharded=devices.sharded)
    log = TrainingLog(precision=choose_precision(settings.precision, devices.accelerator))
    kernel = choose_attention(settings.attention, model, devices.accelerator, log.precision)
    log.attention = kernel
    hold_weights(model, log.precision, compact=not devices.sharded)
    objective = objective or NextToken()
    module = TrainingModule(model, objective, settings, len(steps), log, devices, last)
    loader = StepLoader(sequences, steps, devices)
    validator = Validator(module, validation)
    callbacks: list[Callback] = [validator]
    callbacks += [ProgressLogger(module, stage), BestCheckpoint(module, stage)]
    if interim is not None:
        callbacks.append(InterimWeights(module, validator, interim))
    if write is not None and settings.check_saving and not devices.sharded:
        callbacks.append(ExportCheck(module, stage, write))
    stopping = Stopping(stage.say)
    if settings.checkpoint_every or settings.checkpoint_seconds:
        callbacks.append(ResumeCheckpoint(module, stage, stopping))
    if settings.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    stage.say(_describe(sequences, steps, log.precision, kernel))
    rows = settings.batch_size * settings.gradient_accumulation_steps
    if rows < devices.world:
        stage.say(
            f"a step has {rows} rows, fewer than the {devices.world} devices: raise "
            "gradient_accumulation_steps"
        )
    with contextlib.ExitStack() as contexts:
        contexts.enter_context(stage.compute())
        contexts.enter_context(_quiet_lightning())
        contexts.enter_context(_interruptible())
        contexts.enter_context(stopping)
        contexts.enter_context(torch.random.fork_rng(devices=[]))
        contexts.enter_context(attention(model, kernel))
        if settings.compile:
            contexts.enter_context(_compiled_layers(model))
        contexts.enter_context(devices)
        trainer = Trainer(
            **devices.trainer_arguments(
                "bf16-mixed" if log.precision == "bfloat16_mixed" else "32-true"
            ),
            max_epochs=1,
            logger=build_loggers(settings, stage),
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=stage.scratch,
        )
        saved = devices.broadcast(lambda: resume_file(stage, module))
        trainer.fit(module, loader, ckpt_path=saved, weights_only=True)
        devices.gather(module)
    if settings.keep == "best" and log.validation and stage.rank == 0 and last is None:
        log.kept = restore_best(module, stage.scratch)
    if settings.activation_checkpointing:
        model.gradient_checkpointing_disable()
    model.eval()
    if log.precision != "bfloat16":
        hold_weights(model, "float32")
    if module.seconds > 0:
        stage.metric("tokens_per_second", module.timed_tokens / module.seconds)
    stage.metric("tokens", sum(entry["tokens"] for entry in log.steps))
    return log


def _check(model: PreTrainedModel, sequences: TokenSequences, settings: TrainingSettings) -> None:
    if not sequences.learnable():
        raise InputError("nothing to train on: no sequence has a supervised token")
    longest = int(sequences.lengths().max())
    if longest > settings.sequence_length:
        problem = f"the longest sequence has {longest} tokens"
        raise SettingError("sequence_length", settings.sequence_length, problem)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("nothing to train: every parameter is frozen")


def _describe(sequences: TokenSequences, steps: StepPlan, precision: str, kernel: str) -> str:
    lengths = sequences.lengths()
    first = [steps[number] for number in range(min(8, len(steps)))]
    tokens = sum(int(lengths[row].sum()) for step in first for rows in step for row in rows)
    epochs = steps.examples() / len(sequences)
    return (
        f"{len(steps)} steps of about {tokens / len(first):.0f} tokens, {epochs:.2g} epochs, "
        f"{_PRECISION_IN_WORDS[precision]}, attention by {kernel}"
    )


@contextlib.contextmanager
def _compiled_layers(model: PreTrainedModel) -> Iterator[None]:
    """Within, compile the layers of `model` with torch, in place.

    Layers share their code, so it is compiled once for all of them and for any row length.
    """
    kinds = set(model._no_split_modules or ())
    layers = [module for module in model.modules() if type(module).__name__ in kinds]
    for layer in layers:
        layer.compile(dynamic=True)
    try:
        yield
    finally:
        for layer in layers:
            layer._compiled_call_impl = None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C; Lightning raises SystemExit and then ignores Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Within, suppress Lightning's messages on devices, workers and tips."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

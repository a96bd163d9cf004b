"""What our side and the plain loop train on: one token set, and one plan of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema, preference_schema
from storm_exp import Runtime, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_training.data.chat_tokens import ChatTokenSet
from storm_training.data.preference_tokens import PreferenceTokenSet
from storm_training.optim.settings import Precision, TrainingSettings
from training_data import Chat
from training_plan import Plan, turns


def make_stage(plan: Plan, folder: Path, name: str) -> StageContext:
    """Return a stage with folders of its own."""
    for part in (name, f"{name}-scratch"):
        (folder / part).mkdir()
    runtime = Runtime(threads=plan.threads)
    return StageContext(name, folder / name, folder / f"{name}-scratch", runtime)


def make_token_set(plan: Plan, rows: list[Chat], folder: Path) -> Any:
    """Return the chats, or pairs, as the model's tokens."""
    data = Dataset(folder / "data")
    data.directory.mkdir()
    named: list[dict[str, Any]] = [
        turns(row) | {"id": str(number), "source": ""} for number, row in enumerate(rows)
    ]
    if plan.objective == "sft":
        messages = [{**row, "messages": row["prompt"] + row["chosen"]} for row in named]
        data.write("train", messages, chat_schema())
        component: Any = ChatTokenSet()
    else:
        data.write("train", named, preference_schema())
        component = PreferenceTokenSet()
    return component.run(make_stage(plan, folder, "tokens"), Checkpoint(Path(plan.model)), data)


def training_settings(plan: Plan) -> TrainingSettings:
    """Return the settings of a fine-tuner."""
    return TrainingSettings(
        epochs=plan.epochs,
        sequence_length=plan.sequence_length,
        batch_size=plan.batch_rows,
        learning_rate=plan.learning_rate,
        precision=Precision(plan.precision),
        compile=plan.compile,
        validation_rows=0,
        checkpoint_every=None,
        loggers=["csv"],
        seed=plan.seed,
    )

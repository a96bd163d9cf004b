"""The component `answers`: a model answers the last question of every chat of a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import functools

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, InputError, SettingError, StageContext, component, setting
from storm_inference.engines.settings import TRANSFORMERS, AsksModel
from storm_inference.shots import Shots
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_models.families.flops import Reading


@component("generator", "answers", version=4)
class Answers(AsksModel):
    """Replaces the last answer of every chat by the model's own, or adds one.

    A student can then be fine-tuned on its teacher's answers instead of on the teacher's logits.
    Chats that the model cannot answer, and answers that are empty or do not end within
    `max_new_tokens`, go to the split `rejected` with the reason. Finished shards survive a crash.
    """

    max_new_tokens: int = setting(256, at_least=1, unit="tokens")
    """Maximum length of an answer."""
    temperature: float = setting(0.0, at_least=0)
    """0: the most probable token at every step; above 0: sampling."""
    top_p: float = setting(1.0, above=0, at_most=1)
    """Sample from the most probable tokens that together have this probability."""
    shots: int = setting(0, neutral=0, at_least=0)
    """Few-shot examples before every question: other rows of its task with their answers."""
    task_column: str = setting("source", neutral="source")
    """Column with the name of a row's task; used only with `shots` above 0."""
    unfinished: bool = setting(False, neutral=False)
    """Accept answers that do not end within `max_new_tokens`, truncated there."""
    batch_size: int = setting(16, at_least=1, unit="rows")
    """Chats per batch."""
    shard_rows: int = setting(256, at_least=1, unit="rows")
    """Chats per shard; a killed stage keeps its finished shards."""
    seed: int = II("seed")
    """Seed of sampling and of the choice of examples."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        self.check_engine()
        if self.top_p < 1 and self.temperature == 0:
            problem = "is used only with a temperature above 0"
            raise SettingError("top_p", self.top_p, problem)

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> DatasetSpec:
        """Return at most the rows of `data`; raises InputError for an unsuitable model or data."""
        check_template(model, "answering chats needs one")
        if data.columns and "messages" not in data.columns:
            raise InputError(f"the data set has no column 'messages' (it has {data.columns})")
        if self.shots and data.columns and self.task_column not in data.columns:
            problem = f"the data set has the columns {', '.join(data.columns)}"
            raise SettingError("task_column", self.task_column, problem)
        positions = (model.config or {}).get("max_position_embeddings")
        if positions and self.max_new_tokens >= positions:
            problem = f"leaves no room for a question in the model's {positions} positions"
            raise SettingError("max_new_tokens", self.max_new_tokens, problem)
        if data.splits is None:
            return dataclasses.replace(data)
        splits = {name: [0, most] for name, (_, most) in data.splits.items() if name != "rejected"}
        splits["rejected"] = [0, sum(most for _, most in splits.values())]
        return DatasetSpec(splits=splits, columns=data.columns)

    def rehearsal(self) -> Answers:
        """Return the component for short, truncated answers: a random model never ends one."""
        return dataclasses.replace(
            self,
            inference=self.rehearsed_engine(),
            max_new_tokens=min(self.max_new_tokens, 8),
            unfinished=True,
            batch_size=min(self.batch_size, 8),
            shard_rows=min(self.shard_rows, 64),
        )

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Return the cost of reading every chat and writing answers of maximum length."""
        rows, chat_tokens = data.likely_rows(), data.row_tokens
        length = self.max_new_tokens + (chat_tokens or 0.0)
        reading = None
        if rows is not None and chat_tokens is not None:
            reading = Reading(rows * length, length, rows * self.max_new_tokens)
        batch = Reading(self.batch_size * length, length, self.batch_size)
        return inference_cost(
            model, reading, batch, assumes=f"answers of {self.max_new_tokens} tokens"
        )

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Dataset:
        """Answer the train and validation splits."""
        from storm_inference.engines.engine import Sampling
        from storm_inference.generation import Generator, answer
        from storm_inference.opening import open_engine
        from storm_inference.shards import Shards

        if not data.count("train"):
            raise InputError("the data set has no rows to answer in its split 'train'")
        sampling = Sampling(
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
        )
        with stage.compute() as device:
            generator = Generator(
                model,
                sampling,
                Shots(data.rows("train"), self.shots, self.task_column, self.seed),
                unfinished=self.unfinished,
                batch_size=self.batch_size if self.engine == TRANSFORMERS else None,
                open_engine=functools.partial(
                    open_engine, self, stage, model, device=device, batch_size=self.batch_size
                ),
                shards=Shards(stage),
            )
            with contextlib.closing(generator):
                return answer(generator, stage, data, self.shard_rows)

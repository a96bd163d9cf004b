"""The component `answers`: a model answers the last question of every chat of a data set."""

from __future__ import annotations

import dataclasses

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, InputError, SettingError, StageContext, component, setting
from storm_inference.shots import Shots
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_models.families.flops import Reading


@component("generator", "answers", version=4)
class Answers:
    """Ends every chat with what the model says; an answer that stands there already goes.

    A student may be tuned on what its teacher answers, instead of on the teacher's logits. A chat
    that cannot be asked, or whose answer does not end within `max_new_tokens` or is empty, is kept
    among the rejected rows with its reason. Finished shards survive a crash.
    """

    max_new_tokens: int = setting(256, at_least=1, unit="tokens")
    """Tokens of the longest answer."""
    temperature: float = setting(0.0, at_least=0)
    """0 takes the most probable token at every step; above 0 draws."""
    top_p: float = setting(1.0, above=0, at_most=1)
    """Draws among the most probable tokens that have this probability together."""
    shots: int = setting(0, neutral=0, at_least=0)
    """Examples before every question: other rows of its task with their answers, as turns."""
    task_column: str = setting("source", neutral="source")
    """The column that names a row's task; read with `shots` above 0 only."""
    unfinished: bool = setting(False, neutral=False)
    """Take an answer that does not end within `max_new_tokens` as it is, cut."""
    batch_size: int = setting(16, at_least=1, unit="rows")
    """Chats that are answered at once."""
    shard_rows: int = setting(256, at_least=1, unit="rows")
    """Chats between two points at which a killed stage goes on."""
    seed: int = II("seed")
    """Decides what is drawn, and which examples."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if self.top_p < 1 and self.temperature == 0:
            problem = "is read with a temperature above 0 only"
            raise SettingError("top_p", self.top_p, problem)

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> DatasetSpec:
        """Forecast at most the rows of `data`; raises InputError for what cannot be asked."""
        check_template(model, "it is to answer chats")
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
        return DatasetSpec(splits=splits, columns=data.columns)

    def rehearsal(self) -> Answers:
        """Return the same for short answers, taken as they are: a random model never ends one."""
        return dataclasses.replace(
            self,
            max_new_tokens=min(self.max_new_tokens, 8),
            unfinished=True,
            batch_size=min(self.batch_size, 8),
            shard_rows=min(self.shard_rows, 64),
        )

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Estimate the reading of every chat, and of as long an answer as there may be."""
        rows, asked = data.likely_rows(), data.row_tokens
        length = self.max_new_tokens + (asked or 0.0)
        reading = None
        if rows is not None and asked is not None:
            reading = Reading(rows * length, length, rows * self.max_new_tokens)
        batch = Reading(self.batch_size * length, length, self.batch_size)
        return inference_cost(
            model, reading, batch, assumes=f"answers of {self.max_new_tokens} tokens"
        )

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Dataset:
        """Answer the train and validation splits."""
        from storm_inference.generation import Generator, Sampling, answer

        if not data.count("train"):
            raise InputError("the data set has no rows to answer in its split 'train'")
        sampling = Sampling(
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            unfinished=self.unfinished,
            seed=self.seed,
        )
        with stage.compute() as device:
            generator = Generator(
                model,
                sampling,
                Shots(data.rows("train"), self.shots, self.task_column, self.seed),
                batch_size=self.batch_size,
                device=device,
                scratch=stage.scratch,
            )
            return answer(generator, stage, data, self.shard_rows)

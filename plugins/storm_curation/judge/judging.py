"""Judging a data set shard by shard; each finished shard is stored at once."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storm_curation.judge.judge_prompt import JudgePrompt
from storm_curation.judge.rubric import Question
from storm_curation.judge.scores import OK, Scores
from storm_curation.judge.settings import JudgeSettings
from storm_curation.judge.summary import Summary
from storm_data.dataset import Dataset
from storm_exp import InputError, StageContext
from storm_inference.engines.engine import Engine
from storm_inference.journal import Journal
from storm_inference.opening import open_engine
from storm_inference.shards import Shards
from storm_models.checkpoint.checkpoint import Checkpoint

Row = Mapping[str, Any]
Judgement = dict[str, Any]
"""A row of scores.parquet."""


def judge(settings: JudgeSettings, stage: StageContext, model: Checkpoint, data: Dataset) -> Scores:
    """Judge the split `train`, reusing finished shards in the stage's scratch folder.

    Several workers share the shards; the first one gathers what all have made.
    """
    total = data.count("train")
    if total == 0:
        raise InputError("the data set's split 'train' is empty: there is nothing to judge")
    settings, reason = settings.fitted(model.config())
    if reason:
        stage.say(f"prompts have at most {settings.max_length} tokens: {reason}")
    prompt = JudgePrompt(settings, model.chat(), reason)
    summary = Summary(settings.questions())
    schema = score_schema(settings.questions())
    shards = Shards(stage)
    started, before, from_scratch = time.monotonic(), shards.finished(), 0
    with (
        stage.compute() as device,
        stage.progress(total, "rows") as bar,
        contextlib.closing(_Work(settings, stage, device, model, prompt)) as work,
    ):
        if stage.world > 1:  # every worker makes the shards that nobody else has taken
            for name, rows in _shards(settings, data):
                shards.make(name, functools.partial(work.judge, rows, bar.advance))
            if stage.rank > 0:
                return Scores(stage.directory)
        with _writer(stage.directory / "scores.parquet", schema) as writer:
            for name, rows in _shards(settings, data):
                judge_rows = functools.partial(work.judge, rows, bar.advance)
                judgements: list[Judgement] = shards.result(name, judge_rows)
                from_scratch += len(rows) if name in before else 0
                if name not in shards.made:
                    bar.advance(len(rows))
                writer.write_table(pa.Table.from_pylist(judgements, schema=schema))
                summary.add(rows, judgements)
        figures = work.figures()
    seconds = time.monotonic() - started
    _report(stage, summary, (total - from_scratch) / max(seconds, 1e-9))
    for name, value in figures.items():
        stage.metric(name, value)
    return Scores(stage.directory)


class _Work:
    """The judge's model, loaded for the first shard that needs it."""

    def __init__(
        self,
        settings: JudgeSettings,
        stage: StageContext,
        device: str,
        model: Checkpoint,
        prompt: JudgePrompt,
    ) -> None:
        self._settings, self._stage, self._device = settings, stage, device
        self._model, self._prompt = model, prompt
        self._engine: Engine | None = None

    def judge(
        self, rows: list[Row], advance: Callable[[int], None], journal: Journal
    ) -> list[Judgement]:
        """Return a row of scores per row, in order; resumes where the shard's journal ends."""
        prompted = self._prompt.prepare(rows)
        usable = [index for index, item in enumerate(prompted) if item.prompts]
        if unusable := len(rows) - len(usable):
            advance(unusable)
        prompts = [prompted[index].prompts for index in usable]
        logs = []
        if prompts:
            logs = self._load().score_labels(prompts, self._prompt.answer_ids, advance, journal)
        questions = self._settings.questions()
        judgements = []
        scored = dict(zip(usable, logs, strict=True))
        for index, (row, item) in enumerate(zip(rows, prompted, strict=True)):
            judgement: Judgement = {
                "id": row["id"],
                "status": item.status,
                "problem": item.problem,
                "tokens_judged": item.tokens_judged,
                "tokens_in_all": item.tokens_in_all,
            }
            if index in scored:
                judgement |= weigh(questions, scored[index])
            judgements.append(judgement)
        return judgements

    def _load(self) -> Engine:
        if self._engine is None:
            settings = self._settings
            self._engine = open_engine(
                settings,
                self._stage,
                self._model,
                device=self._device,
                dtype=settings.dtype,
                batch_size=settings.batch_size,
                pad_to_multiple_of=settings.pad_to_multiple_of,
                max_length=settings.max_length + 1,
            )
        return self._engine

    def figures(self) -> dict[str, float]:
        """Return what the engine says of its work, nothing where it was not asked."""
        return self._engine.figures() if self._engine is not None else {}

    def close(self) -> None:
        """End what was started."""
        if self._engine is not None:
            self._engine.close()


def weigh(questions: Mapping[str, Question], logs: list[list[float]]) -> Judgement:
    """Return the columns of a row of scores from log-probabilities, `[question][answer]`.

    Among equally probable labels, the lowest of the scale counts as the most probable.
    """
    columns: Judgement = {}
    for (name, question), answers in zip(questions.items(), logs, strict=True):
        if not all(math.isfinite(value) for value in answers):
            problem = f"the model's probabilities for {name} are not numbers"
            return {"status": "not_finite", "problem": problem}
        highest = max(answers)
        parts = [math.exp(value - highest) for value in answers]
        shares = [part / sum(parts) for part in parts]
        scale = question.scale()
        columns |= {f"{name}_p_{label}": p for label, p in zip(scale, shares, strict=True)}
        columns[f"{name}_mass"] = math.fsum(map(math.exp, answers))
        columns[f"{name}_label"] = scale[shares.index(max(shares))]
        values = zip(shares, question.values(), strict=True)
        columns[f"{name}_expected"] = math.fsum(p * value for p, value in values)
    return columns


def score_schema(questions: Mapping[str, Question]) -> pa.Schema:
    """Return the Arrow schema of scores.parquet."""
    fields = [("id", pa.string()), ("status", pa.string()), ("problem", pa.string())]
    fields += [("tokens_judged", pa.int64()), ("tokens_in_all", pa.int64())]
    for name, question in questions.items():
        fields += [(f"{name}_p_{label}", pa.float64()) for label in question.scale()]
        fields += [(f"{name}_mass", pa.float64()), (f"{name}_label", pa.string())]
        fields += [(f"{name}_expected", pa.float64())]
    return pa.schema(fields)


def _writer(file: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(file, schema, compression="zstd")


def _shards(settings: JudgeSettings, data: Dataset) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows shard by shard, each with its name."""
    rows: Iterator[Row] = data.rows("train")
    while shard := list(itertools.islice(rows, settings.shard_rows)):
        yield _shard_digest(settings, shard), shard


def _shard_digest(settings: JudgeSettings, rows: Sequence[Row]) -> str:
    """Return the digest of what determines a shard's judgements, besides the model.

    Model and engine are part of the stage's key, and each key has its own scratch folder.
    """
    contents = [[row["id"], row["messages"], row.get("tools")] for row in rows]
    shown = dataclasses.asdict(settings)
    del shown["inference"], shown["serving"]
    text = json.dumps([shown, contents], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _report(stage: StageContext, summary: Summary, rows_per_second: float) -> None:
    content = summary.to_json()
    text = json.dumps(content, indent=1, sort_keys=True)
    (stage.directory / "summary.json").write_text(text + "\n", encoding="utf-8")
    judged, masses = content["statuses"].get(OK, 0), content["label_mass"]
    if judged == 0:
        reasons = ", ".join(f"{n} × {status}" for status, n in content["statuses"].items())
        raise InputError(f"none of the {content['rows']} rows could be judged: {reasons}")
    stage.metric("rows_judged", judged)
    stage.metric("rows_per_second", rows_per_second)
    stage.metric("label_mass", min(masses.values()), main="truth" not in content)
    if "truth" in content and content["truth"]["auc"] is not None:
        stage.metric("auc", content["truth"]["auc"], main=True)
    if judged < content["rows"]:
        stage.say(f"{content['rows'] - judged} of {content['rows']} rows could not be judged")
    for name, mass in masses.items():
        if mass < 0.5:
            stage.warn(
                f"the mean label mass of {name} is {mass:.2g}: the model seldom gives one of the "
                "answers, so do not rely on its judgement"
            )

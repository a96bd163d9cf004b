"""Writing a curated data set from verdicts on every row of a pool."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from storm_curation.judge.scores import Scores
from storm_curation.selection.funnel import funnel
from storm_curation.selection.splitting import HeldOut, Splitting
from storm_curation.selection.verdict import Rejection, Verdict, count_kept
from storm_data.dataset import Dataset
from storm_exp import InputError, SettingError, StageContext

BUDGET = "budget"
SPLITS = ("train", "validation", "rejected")


def assign(settings: Splitting, verdicts: Sequence[Verdict]) -> list[str | Rejection]:
    """Return each row's split, `train` or `validation`, or its rejection.

    Raises InputError when no row is left to train on.
    """
    kept = count_kept(verdicts)
    train, validation = settings.sizes(kept)
    result: list[str | Rejection] = [verdict or "" for verdict in verdicts]
    order = [i for i in settings.draw_order(len(verdicts)) if verdicts[i] is None]
    for rank, index in enumerate(order):
        if rank < validation:
            result[index] = "validation"
        elif rank < validation + train:
            result[index] = "train"
        else:
            result[index] = Rejection(BUDGET, "over budget")
    return result


def scores_of_rows(data: Dataset, scores: Scores) -> Iterator[dict[str, Any] | None]:
    """Yield the scores of each row of the split `train`, None where it was not judged."""
    ids = data.table("train").column("id").to_pylist()
    judged = scores.table().column("id").to_pylist()
    if ids == judged:
        yield from scores.rows()
        return
    if len(set(ids)) < len(ids) or len(set(judged)) < len(judged):
        raise InputError("the scores belong to other rows than the data's, and ids are not unique")
    by_id = {row["id"]: row for row in scores.rows()}
    if not by_id.keys() & set(ids):
        raise InputError("the scores belong to another data set: they share no id with this one")
    for identifier in ids:
        yield by_id.get(identifier)


def divide(
    settings: Splitting,
    stage: StageContext,
    data: Dataset,
    verdicts: Sequence[Verdict],
    steps: Sequence[str],
) -> Dataset:
    """Write the splits that follow from verdicts on the rows of `train`, and the funnel.

    Raises InputError when no row is kept.
    """
    if not verdicts:
        raise InputError("the data set's split 'train' is empty: there is nothing to select from")
    if count_kept(verdicts) == 0:
        counts = funnel([verdict or "" for verdict in verdicts], steps)["steps"]
        reasons = ", ".join(f"{n} × {r}" for step in counts for r, n in step["rejected"].items())
        names = dict.fromkeys(v.setting for v in verdicts if v is not None and v.setting)
        remedy = "; relax the settings that rejected them" if names else ""
        at_fault = {name: getattr(settings, name) for name in names}
        raise InputError(f"no row is left of {len(verdicts)}: {reasons}{remedy}", **at_fault)
    assigned = assign(settings, verdicts)
    _write_splits(stage, data, assigned)
    if settings.held_out is HeldOut.data:
        if not data.count("validation"):
            problem = "the data set has no split 'validation' with rows"
            raise SettingError("held_out", settings.held_out.name, problem)
        shutil.copyfile(*(d / "validation.parquet" for d in (data.directory, stage.directory)))
    curated = Dataset(stage.directory)
    content = funnel(assigned, (*steps, BUDGET), data.rows("train"))
    # With held_out=data, the validation rows are not among the selected ones.
    content["splits"] = {name: curated.count(name) for name in SPLITS}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (stage.directory / "funnel.json").write_text(text + "\n", encoding="utf-8")
    kept = len(verdicts) - curated.count("rejected")
    stage.metric("rows_kept", kept, main=True)
    stage.metric("share_kept", kept / len(verdicts))
    for name in SPLITS:
        stage.metric(f"{name}_rows", content["splits"][name])
    return curated


def _write_splits(stage: StageContext, data: Dataset, assigned: Sequence[str | Rejection]) -> None:
    """Copy every row to its split, in the order of the pool and with its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with (
        pq.ParquetFile(data.directory / "train.parquet") as reader,
        contextlib.ExitStack() as stack,
    ):
        schema = reader.schema_arrow
        if "reason" in schema.names:
            schema = schema.remove(schema.get_field_index("reason"))
        with_reason = schema.append(pa.field("reason", pa.string()))
        schemas = {"train": schema, "validation": schema, "rejected": with_reason}
        writers = {
            name: stack.enter_context(
                pq.ParquetWriter(stage.directory / f"{name}.parquet", kind, compression="zstd")
            )
            for name, kind in schemas.items()
        }
        start = 0
        with stage.progress(len(assigned), "rows", "writing") as bar:
            for batch in reader.iter_batches(batch_size=4096, columns=schema.names):
                part = assigned[start : start + batch.num_rows]
                reasons = [a.reason if isinstance(a, Rejection) else None for a in part]
                full = pa.RecordBatch.from_arrays(
                    [*batch.columns, pa.array(reasons, pa.string())], schema=with_reason
                )
                for name, kind in schemas.items():
                    mask = [(a if isinstance(a, str) else "rejected") == name for a in part]
                    chosen = full.filter(pa.array(mask, pa.bool_()))
                    if chosen.num_rows:
                        writers[name].write_batch(chosen.select(kind.names))
                start += batch.num_rows
                bar.advance(batch.num_rows)

"""Sample questions in the schema of every data set that presets use, written here for rehearsals.

One YAML file per data set: `splits` names its splits, `rows` has its rows. In texts, `{n}` becomes
a number, and `{choice}` the first choice of the task.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from storm_exp import InputError

_FOLDER = Path(__file__).parent


def sample_of(dataset: str) -> Path | None:
    """Return the file with a data set's sample, None where there is none."""
    name = dataset.replace("/", "--")
    family, _, _ = name.partition("--")[2].partition("-")
    for stem in (name, f"{name.partition('--')[0]}--{family}"):  # hails/agieval-…: one for all
        file = _FOLDER / f"{stem}.yaml"
        if file.is_file():
            return file
    return None


def sample_rows(file: Path, choice: str, rows: int) -> dict[str, list[dict[str, Any]]]:
    """Return `rows` rows of every split of a sample."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    templates, count = content["rows"], len(content["rows"])
    return {
        split: [_varied(templates[i % count], 1000 * number + i + 2, choice) for i in range(rows)]
        for number, split in enumerate(content["splits"])
    }


@contextlib.contextmanager
def sampled(rows: int) -> Iterator[None]:
    """Make the harness's tasks use sample rows in place of data sets of the hub.

    The tasks' processing of rows is unchanged. Raises InputError for a data set without a sample.
    """
    import datasets
    from lm_eval.api.task import ConfigurableTask

    original = ConfigurableTask.download

    def download(task: Any, dataset_kwargs: dict[str, Any] | None = None, **options: Any) -> None:
        path = str(task.DATASET_PATH)
        if callable(task.config.custom_dataset) or (dataset_kwargs or {}).get("data_files"):
            original(task, dataset_kwargs, **options)
            return
        file = sample_of(path)
        if file is None:
            raise InputError(
                f"the task '{task.config.task}' uses {path}, of which a rehearsal has no sample: "
                "rehearse without it (evaluator.tasks=[…])"
            )
        choices = task.config.doc_to_choice
        choice = str(choices[0]) if isinstance(choices, list) else "(A)"
        splits = sample_rows(file, choice, rows)
        task.dataset = datasets.DatasetDict(
            {split: datasets.Dataset.from_list(split_rows) for split, split_rows in splits.items()}
        )

    ConfigurableTask.download = download
    try:
        yield
    finally:
        ConfigurableTask.download = original


def _varied(value: Any, number: int, choice: str) -> Any:
    if isinstance(value, dict):
        return {name: _varied(item, number, choice) for name, item in value.items()}
    if isinstance(value, list):
        return [_varied(item, number, choice) for item in value]
    if not isinstance(value, str):
        return value
    return value.replace("{choice}", choice).replace("{n}", str(number))

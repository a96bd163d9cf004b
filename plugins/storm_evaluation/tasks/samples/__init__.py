"""Questions of ours in the schema of every data set that presets ask, for rehearsals.

One YAML file per data set: `splits` names the splits that it has, `rows` its rows. In texts, `{n}`
becomes a number, and `{choice}` the first of the answers that a task lets choose from.
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
    """Return the file with the sample of a data set, None where there is none."""
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
    given = content["rows"]
    return {
        split: [_varied(given[i % len(given)], 1000 * place + i + 2, choice) for i in range(rows)]
        for place, split in enumerate(content["splits"])
    }


@contextlib.contextmanager
def sampled(rows: int) -> Iterator[None]:
    """Let the harness's tasks ask our rows where they would fetch a data set from the hub.

    Whatever a task does with its rows stays the harness's own code. Raises InputError for a data
    set of which there is no sample.
    """
    import datasets
    from lm_eval.api.task import ConfigurableTask

    own = ConfigurableTask.download

    def download(task: Any, dataset_kwargs: dict[str, Any] | None = None, **further: Any) -> None:
        path = str(task.DATASET_PATH)
        if callable(task.config.custom_dataset) or (dataset_kwargs or {}).get("data_files"):
            own(task, dataset_kwargs, **further)
            return
        file = sample_of(path)
        if file is None:
            raise InputError(
                f"the task '{task.config.task}' asks {path}, of which no rows are known for a "
                "rehearsal: rehearse without it (evaluator.tasks=[…])"
            )
        choices = task.config.doc_to_choice
        choice = str(choices[0]) if isinstance(choices, list) else "(A)"
        splits = sample_rows(file, choice, rows)
        task.dataset = datasets.DatasetDict(
            {split: datasets.Dataset.from_list(made) for split, made in splits.items()}
        )

    ConfigurableTask.download = download
    try:
        yield
    finally:
        ConfigurableTask.download = own


def _varied(value: Any, number: int, choice: str) -> Any:
    if isinstance(value, dict):
        return {name: _varied(item, number, choice) for name, item in value.items()}
    if isinstance(value, list):
        return [_varied(item, number, choice) for item in value]
    if not isinstance(value, str):
        return value
    return value.replace("{choice}", choice).replace("{n}", str(number))

"""The verb `mergekit`: a mergekit YAML as a recipe of ours, and a merge of ours as such a YAML.

Imports are in functions: the module is imported with the plugin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from storm_exp.report import StageRecord


def mergekit(arguments: list[str]) -> int:
    """Turn a mergekit YAML into a recipe, and a run's merge into a mergekit YAML."""
    import yaml

    from storm_exp import Answer
    from storm_inference.targets.options import OptionParser

    parser = OptionParser(
        "mergekit",
        "Print the recipe that a mergekit YAML stands for, or the mergekit YAML of a run's merge.",
        "merge.yaml > own/recipe/mine.yaml",
        "latest > merge.yaml",
        "latest --stage merger",
    )
    parser.add_argument("what", metavar="FILE|RUN", help="a mergekit YAML, or a run")
    parser.add_argument("--stage", help="the run's stage that merges, where it has several")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.read(arguments)
    if given is None:
        return 0
    content, notes = _recipe(given) if Path(given.what).is_file() else _merge(given)
    text = yaml.safe_dump(
        content, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )
    head = ["# @package _global_"] if "defaults" in content else []
    lines = [*head, *(f"# {note}" for note in notes), *text.splitlines()]
    return Answer("mergekit", [content], lines).print(arguments)


def _recipe(given: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from storm_merging.mergefile.merge_file import read_merge_file
    from storm_merging.mergefile.recipe import merge_recipe

    file = Path(given.what)
    merge = read_merge_file(file)
    return merge_recipe(merge, file.absolute().parent), [f"The merge of {file.name}."]


def _merge(given: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return the YAML of a run's merge; raises InputError where there is none, or several."""
    from storm_exp import InputError
    from storm_exp.report import RunRecord
    from storm_merging.mergefile.as_mergekit import SAID, as_mergekit
    from storm_report.runs.report_verb import run_folder

    if Path(given.what).suffix in (".yaml", ".yml"):
        raise InputError(f"{given.what}: no such file")
    run = RunRecord.read(run_folder(Path("outputs"), given.what))
    stages = {stage.key: stage for stage in run.stages()}
    merges = [
        stage
        for stage in stages.values()
        if (stage.label == given.stage if given.stage else stage.component in SAID)
    ]
    if len({stage.label for stage in merges}) != 1:
        names = ", ".join(dict.fromkeys(stage.label for stage in merges)) or "none"
        problem = f"the stages that merge are {names}" if not given.stage else "no such stage"
        raise InputError(f"{given.what}: name one merge by --stage ({problem})")
    stage = merges[0]
    base, *_ = [*_names(stage, "base", stages), None]
    models = _names(stage, "models", stages) or _names(stage, "model", stages)
    config = stage.spec.get("config") or {}
    source = stages[_keys(stage, "model")[0]].spec if _keys(stage, "model") else {}
    content = as_mergekit(
        stage.component,
        stage.settings,
        [model for model in models if model is not None],
        base,
        layers=(source.get("config") or {}).get("num_hidden_layers"),
        dtype=config.get("dtype") or config.get("torch_dtype"),
    )
    several = len(merges) > 1
    return content, [f"The first of the sweep's {len(merges)} merges."] if several else []


def _keys(stage: StageRecord, port: str) -> list[str]:
    given = stage.inputs.get(port) or []
    return [given] if isinstance(given, str) else list(given)


def _names(stage: StageRecord, port: str, stages: dict[str, StageRecord]) -> list[str | None]:
    """Return what mergekit knows the artifacts of a port by: a repository, or a folder."""
    return [_name(stages[key]) for key in _keys(stage, port)]


def _name(stage: StageRecord) -> str:
    if stage.component == "hub":
        revision = stage.settings["revision"]
        return f"{stage.settings['repo']}" + (f"@{revision}" if revision != "main" else "")
    if stage.component == "path":
        return str(Path(stage.settings["path"]).absolute())
    return stage.written or stage.directory

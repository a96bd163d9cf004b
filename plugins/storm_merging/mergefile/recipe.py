"""The recipe that a mergekit YAML stands for: a stage for every model, and their merge."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from storm_exp import load_plugins
from storm_merging.mergefile.merge_file import MergeFile, Slice, Source
from storm_merging.mergefile.model_reference import MERGER, ModelReference, Place
from storm_merging.mergefile.tokenizer_section import TokenizerSection, TokenRow

BASE_MODEL = "base_model"
"""The menu of models that are brought in."""
_TAKEN = (
    *("defaults", "graph", "hydra", "merge", "name", "outputs", "recipe", "runtime", "seed"),
    *("store", "sweep", "tags", "targets"),
)
"""The engine's settings, and our section."""


def merge_recipe(merge: MergeFile, beside: Path) -> dict[str, Any]:
    """Return the recipe as a mapping: its `defaults`, the stages' settings, and the graph.

    Models are stages of the menu base_model, named after themselves. `beside` is the YAML's folder.
    """
    models = merge.models()
    names = stage_names(models)
    defaults: list[Any] = []
    stages: dict[str, Any] = {}
    graph: dict[str, Any] = {}
    for model, name in names.items():
        menu, kind = (BASE_MODEL, "") if model.lora is None else (MERGER, "merge_adapter")
        place = model.lora or model.model
        source = _source(place, beside)
        defaults.append({f"/{menu}@{name}": kind or ("path" if "path" in source else "hub")})
        stages[name] = source
        if model.lora is not None:
            graph[name] = {"model": names[ModelReference(model.model)]}
    numbers = {model: number for number, model in enumerate(models, start=1)}
    stages[MERGER] = merger_settings(merge, numbers)
    graph[MERGER] = {"models": [names[model] for model in models]}
    return {
        "defaults": [*defaults, {f"/{MERGER}": "merge_yaml"}, "_self_"],
        "graph": graph,
        **stages,
    }


def stage_names(models: list[ModelReference]) -> dict[ModelReference, str]:
    """Return a name of a stage for each model, made of its own; a model with an adapter has two."""
    plugins = load_plugins()
    taken = {*_TAKEN, *plugins.sections(), *plugins.menus()} - {BASE_MODEL}
    names: dict[ModelReference, str] = {}
    plain = [ModelReference(model.model) for model in models if model.lora is not None]
    for model in dict.fromkeys([*models, *plain]):
        place = model.lora or model.model
        stem = _stem(Path(place.path).name or Path(place.path).resolve().name, taken)
        name, number = stem, 1
        while name in names.values():
            number += 1
            name = f"{stem}_{number}"
        names[model] = name
    return names


def _stem(name: str, taken: Collection[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "model"
    return f"model_{plain}" if plain[0].isdigit() or plain in taken else plain


def _source(place: Place, beside: Path) -> dict[str, str]:
    """Return the settings of a stage that brings a folder or a repository in."""
    folder = place.folder(beside)
    if folder is not None:
        return {"path": str(folder)}
    revision = {"revision": place.revision} if place.revision else {}
    return {"repo": place.path, **revision}


def merger_settings(merge: MergeFile, numbers: dict[ModelReference, int]) -> dict[str, Any]:
    """Return the settings of the component `merge_yaml`; models are numbers of its port, from 1."""

    def source(each: Source) -> dict[str, Any]:
        return _without_empty(
            model=numbers[each.model],
            layers=list(each.layers) if each.layers else None,
            parameters=each.parameters,
        )

    def piece(each: Slice) -> dict[str, Any]:
        return _without_empty(
            sources=[source(one) for one in each.sources],
            base=numbers[each.base] if each.base else None,
            parameters=each.parameters,
        )

    out = merge.out_dtype or merge.dtype
    return _without_empty(
        method=merge.method,
        base=numbers[merge.base] if merge.base else None,
        slices=[piece(each) for each in merge.slices],
        parameters=merge.parameters,
        tokenizer=_tokenizer_settings(merge.tokenizer, numbers) if merge.tokenizer else None,
        chat_template=merge.chat_template,
        dtype=out.value if out else None,
        without_effect=merge.notices,
    )


def _tokenizer_settings(
    section: TokenizerSection, numbers: dict[ModelReference, int]
) -> dict[str, Any]:
    def source(row: TokenRow) -> Any:
        if row.model is None:
            return "zero"
        if row.token is None and row.token_id is None:
            return numbers[row.model]
        return _without_empty(model=numbers[row.model], token=row.token, token_id=row.token_id)

    kept = section.source
    return _without_empty(
        source=kept if isinstance(kept, str) else str(numbers[kept]),
        tokens={
            token: {"source": source(row), **({"force": True} if row.force else {})}
            for token, row in section.tokens.items()
        },
        pad_to_multiple_of=section.pad_to_multiple_of if section.pad_to_multiple_of > 1 else None,
    )


def _without_empty(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, {}, [], "")}

"""A merge of ours as a mergekit YAML, where that can say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storm_exp import InputError

_OWN = ("density", "epsilon", "gamma")
_SHARED = {"normalise": "normalize", "rescale": "rescale", "scale": "lambda"}
_BY_TASK_VECTORS = (
    *("task_arithmetic", "ties", "dare_linear", "dare_ties", "della", "della_linear"),
    *("breadcrumbs", "breadcrumbs_ties"),
)
WITH_BASE = (*_BY_TASK_VECTORS, "model_stock", "sce")
"""Components that have a port `base`."""
SAID = ("linear", "slerp", *WITH_BASE, "mergekit", "merge_yaml", "depth_upscale")
"""Components that a mergekit YAML can say."""


def as_mergekit(
    component: str,
    settings: dict[str, Any],
    models: Sequence[str],
    base: str | None,
    *,
    layers: int | None = None,
    dtype: str | None = None,
) -> dict[str, Any]:
    """Return the contents of a mergekit YAML for a merge by a component with these settings.

    `models` and `base` are names for mergekit: folders or repositories. `layers` is the source's
    depth for depth_upscale, `dtype` the format of the result. Raises InputError for a component
    that mergekit's YAML cannot say.
    """
    if component not in SAID:
        raise InputError(
            f"{component}: mergekit's YAML cannot say it; it can say {', '.join(SAID)}"
        )
    content = _content(component, settings, models, base, layers)
    return {**content, **_formats(dtype)}


def _content(
    component: str,
    settings: dict[str, Any],
    models: Sequence[str],
    base: str | None,
    layers: int | None,
) -> dict[str, Any]:
    if component == "merge_yaml":
        return _from_merge_yaml(settings, models)
    if component == "depth_upscale":
        assert layers is not None
        ranges = ([0, layers - settings["m"]], [settings["m"], layers])
        slices = [{"sources": [{"model": models[0], "layer_range": each}]} for each in ranges]
        return {"merge_method": "passthrough", "slices": slices}
    if component == "slerp":
        groups = [
            {"filter": group, "value": points} for group, points in settings["schedules"].items()
        ]
        t = [*groups, {"value": settings["t"]}] if groups else settings["t"]
        return {
            "merge_method": "slerp",
            "base_model": models[0],
            "models": [{"model": model} for model in models],
            "parameters": {"t": t},
        }
    if component == "mergekit":
        return _with_own(settings["method"], models, base, settings["parameters"])
    parameters = {theirs: settings[ours] for ours, theirs in _SHARED.items() if ours in settings}
    if component == "linear":
        weights = settings["weights"] or [1.0] * len(models)
        return _with_own("linear", models, None, {"weight": weights, **parameters})
    if component == "model_stock":
        return _with_own(component, models, base, {"filter_wise": settings["filter_wise"]})
    if component == "sce":
        return _with_own(component, models, base, {"select_topk": settings["share"]})
    own = {name: settings[name] for name in _OWN if name in settings}
    weights = settings["weights"] or [1.0] * len(models)
    return _with_own(component, models, base, {"weight": weights, **own, **parameters})


def _with_own(
    method: str, models: Sequence[str], base: str | None, parameters: dict[str, Any]
) -> dict[str, Any]:
    """Return a merge; a parameter with a list has a value for each model."""
    own = {name: value for name, value in parameters.items() if isinstance(value, list)}
    shared = {name: value for name, value in parameters.items() if name not in own}
    entries: list[dict[str, Any]] = []
    for place, model in enumerate(models):
        values = {name: each[place] for name, each in own.items()}
        entries.append({"model": model, **({"parameters": values} if values else {})})
    return {
        "merge_method": method,
        **({"base_model": base} if base else {}),
        "models": entries,
        **({"parameters": shared} if shared else {}),
    }


def _from_merge_yaml(settings: dict[str, Any], models: Sequence[str]) -> dict[str, Any]:
    def source(each: dict[str, Any]) -> dict[str, Any]:
        layers = {"layer_range": each["layers"]} if each.get("layers") else {}
        own = {"parameters": each["parameters"]} if each.get("parameters") else {}
        return {"model": models[each["model"] - 1], **layers, **own}

    def piece(each: dict[str, Any]) -> dict[str, Any]:
        base = {"base_model": models[each["base"] - 1]} if each.get("base") else {}
        own = {"parameters": each["parameters"]} if each.get("parameters") else {}
        return {"sources": [source(one) for one in each["sources"]], **base, **own}

    whole = [{"sources": [{"model": number} for number in range(1, len(models) + 1)]}]
    slices = settings["slices"] or whole
    content: dict[str, Any] = {"merge_method": settings["method"]}
    if settings["base"]:
        content["base_model"] = models[settings["base"] - 1]
    if len(slices) == 1 and not any(each.get("layers") for each in slices[0]["sources"]):
        content["models"] = [source(each) for each in slices[0]["sources"]]
    else:
        content["slices"] = [piece(each) for each in slices]
    if settings["parameters"]:
        content["parameters"] = settings["parameters"]
    return {**content, **_tokenizer(settings, models)}


def _tokenizer(settings: dict[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """Return the keys `tokenizer` and `chat_template`, as far as they say something."""

    def source(given: Any) -> Any:
        if given == "zero":
            return {"kind": "zero"}
        if isinstance(given, int):
            return models[given - 1]
        return {"kind": "model_token", **given, "model": models[given["model"] - 1]}

    given, template = settings["tokenizer"], settings["chat_template"]
    said: dict[str, Any] = {"chat_template": template} if template else {}
    kept, multiple = given["source"], given["pad_to_multiple_of"]
    tokens = {
        token: {**row, "source": source(row["source"])} for token, row in given["tokens"].items()
    }
    if kept == "same" and not tokens and multiple == 1:
        return said
    kept = "base" if kept == "same" else kept
    return said | {
        "tokenizer": {
            "source": models[int(kept) - 1] if kept.isdecimal() else kept,
            **({"tokens": tokens} if tokens else {}),
            **({"pad_to_multiple_of": multiple} if multiple > 1 else {}),
        }
    }


def _formats(dtype: str | None) -> dict[str, Any]:
    """Return the keys with which mergekit computes as we do: in fp32, rounded once."""
    return {"dtype": "float32", **({"out_dtype": dtype} if dtype else {})}

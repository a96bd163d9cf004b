"""A merge by slices, made: kept as weighted sums where it is some, else computed and written."""

from __future__ import annotations

import json
from collections.abc import Sequence

from storm_exp import StageContext
from storm_merging.layers.choice import coefficients, is_measured, is_sum
from storm_merging.layers.headers import check_headers, merged_headers
from storm_merging.layers.merge_request import MergeRequest, check_shapes
from storm_merging.layers.output_tensor import OutputTensor
from storm_merging.layers.tensor_merge import Readable, measure_products, write_merge
from storm_merging.parents.compatibility import Headers
from storm_merging.parents.measurements import check_finite
from storm_merging.parents.merged_checkpoint import add_models, write_summary
from storm_merging.vocabulary.aligned_models import AlignedModels, aligned_models
from storm_merging.vocabulary.aligned_specs import with_heads
from storm_merging.vocabulary.chat_template import write_chat_template
from storm_models.chat.inheritance import compare_chats, inherit_stops
from storm_models.chat.stops import read_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.model_config import ModelConfig, by_name, with_values


def make_merge(
    stage: StageContext, request: MergeRequest, models: Sequence[Checkpoint]
) -> Checkpoint:
    """Return the merge, with `merge.json`, which tells of method and parameters."""
    configs = [model.config() for model in models]
    headers = check_headers(models, configs)
    configs = with_heads(configs, request.merged)
    aligned = aligned_models(
        models, request.vocabulary, request.matrices(), request.merged, request.main, headers
    )
    if aligned:
        configs = [with_values(each, vocab_size=aligned.rows) for each in configs]
        headers = aligned.headers(headers)
    config = request.config(configs)
    tensors = request.tensors(configs, [list(each) for each in headers])
    check_shapes(tensors, [{name: shape for name, (_, shape) in h.items()} for h in headers])
    result = merged_headers(tensors, headers, request.dtype)
    sums = all(is_sum(request.method, each, result[each.name][1]) for each in tensors)
    if sums and not aligned:
        _keep_sum(stage, request, models, tensors, result)
    else:
        readable: Sequence[Readable] = aligned.readable if aligned else models
        write_merge(stage, request.method, readable, tensors, result, request.seed)
    _write_files(stage, request, models, config, aligned)
    merged = Checkpoint(stage.directory)
    told = {"vocabulary": aligned.record()} if aligned else {}
    write_summary(merged, request.method, parameters=request.parameters, **told)
    stage.metric("models", len(request.used), main=True)
    return merged


def _keep_sum(
    stage: StageContext,
    request: MergeRequest,
    models: Sequence[Checkpoint],
    tensors: Sequence[OutputTensor],
    headers: Headers,
) -> None:
    """Keep the merge as weighted sums of the models' tensors."""
    used = request.used
    measured = [
        each for each in tensors if is_measured(request.method, each, headers[each.name][1])
    ]
    products = measure_products(stage, request.method, models, measured)
    parents = [models[place] for place in used]
    if len(measured) < len(tensors):
        check_finite(stage, parents)
    rows: dict[str, list[float]] = {}
    names: dict[str, list[str | None]] = {}
    for tensor in tensors:
        rows[tensor.name], names[tensor.name] = [0.0] * len(used), [None] * len(used)
        found = coefficients(request.method, tensor, products.get(tensor.name))
        for (model, name), coefficient in zip(tensor.sources, found, strict=True):
            rows[tensor.name][used.index(model)] = coefficient
            names[tensor.name][used.index(model)] = name
    add_models(stage, parents, rows, headers, names)


def _write_files(
    stage: StageContext,
    request: MergeRequest,
    models: Sequence[Checkpoint],
    config: ModelConfig,
    aligned: AlignedModels | None,
) -> None:
    """Write config, tokenizer and chat template, and tell where the models' own differ."""
    used = [models[place] for place in request.used]
    if aligned:
        aligned.write_companions(stage)
        config = with_values(config, **aligned.special_ids())
    else:
        used[0].copy_companions(stage.directory)
        stops = [stop for model in used for stop in read_stops(model.directory)]
        inherit_stops(stage, stage.directory, stops)
    if aligned or config != used[0].config():
        text = json.dumps(by_name(config), indent=2, sort_keys=True) + "\n"
        (stage.directory / "config.json").write_text(text, encoding="utf-8")
    folders = [model.directory for model in used]
    if request.chat_template:
        write_chat_template(request.chat_template, folders, stage.directory)
    else:
        kept = aligned.kept.directory if aligned else folders[0]
        compare_chats(stage, [kept, *(folder for folder in folders if folder != kept)])

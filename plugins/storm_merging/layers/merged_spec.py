"""The spec of a merge by slices, before it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from storm_exp import InputError
from storm_merging.layers.merge_request import MergeRequest, check_shapes
from storm_merging.parents.compatibility import merge_spec
from storm_merging.vocabulary.aligned_specs import aligned_specs
from storm_merging.vocabulary.chat_template import AUTO, check_chat_template
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import is_quantised, parameter_count, tensor_shapes


def merged_spec(request: MergeRequest, models: Sequence[CheckpointSpec]) -> CheckpointSpec:
    """Return the spec of a merge of models with these specs.

    Raises SettingError for a parameter or filter that cannot be, InputError for models that do not
    fit each other.
    """
    for place in request.used:
        if is_quantised(models[place].config):
            raise InputError(f"model {place + 1} is quantised; merge first and compress the result")
    aligned = aligned_specs(
        models, request.vocabulary, request.matrices(), request.merged, request.main
    )
    if aligned is None:
        check_chat_template(request.chat_template, None)
        return dataclasses.replace(
            models[request.main], config=None, parameters=None, shapes=None, tokenizer=None
        )
    models, alignment = aligned
    tokens = alignment.vocabulary.tokens.added if alignment else None
    check_chat_template(request.chat_template, tokens)
    spec = _in_one_vocabulary(request, models)
    if not request.chat_template:
        return spec
    known = {models[place].has_chat_template for place in request.used}
    if request.chat_template != AUTO or True in known:
        return dataclasses.replace(spec, has_chat_template=True)
    return dataclasses.replace(spec, has_chat_template=None if None in known else False)


def _in_one_vocabulary(request: MergeRequest, models: Sequence[CheckpointSpec]) -> CheckpointSpec:
    spec = models[request.main]
    if request.whole:
        names = [f"model {place + 1}" for place in request.used]
        spec = merge_spec([models[place] for place in request.used], names)
    configs = [model.config for model in models if model.config]
    if len(configs) < len(models):
        return dataclasses.replace(spec, parameters=None, shapes=None)
    config = request.config(configs)
    shapes = [tensor_shapes(each) for each in configs]
    known = [each for each in shapes if each is not None]
    if len(known) < len(models):
        counts = {} if request.whole else {"parameters": None, "shapes": None}
        return dataclasses.replace(spec, config=config, **counts)
    tensors = request.tensors(configs, [list(each) for each in known])
    check_shapes(tensors, known)
    result = tensor_shapes(config) or {}
    return dataclasses.replace(
        spec, config=config, parameters=parameter_count(config), shapes=shapes_digest(result)
    )

"""Writing a checkpoint of another shape, streamed from one that is not loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from storm_exp import InputError, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import (
    new_layers,
    rearranged_config,
    tensor_sources,
    write_record,
)
from storm_models.checkpoint.weights import holds_embedding, pieces, read_tensor
from storm_models.families.architecture import EMBEDDING, HEAD, tensor_shapes, ties_head
from storm_models.families.model_config import ModelConfig, by_name
from storm_models.folder.tensor_file import TensorWriter
from storm_models.quiet import quiet

Change = Callable[[str, torch.Tensor], torch.Tensor]
"""A function (name in the result, source tensor) -> tensor of the result."""


def rearrange(
    stage: StageContext, model: Checkpoint, sources: Sequence[int], change: Change | None = None
) -> Checkpoint:
    """Write a checkpoint whose layer i is the layer `sources[i]` of `model`.

    Writes `surgery.json`, which names sources and added layers. Raises as `write_surgery` does.
    """
    config = rearranged_config(model.config(), sources)
    result = write_surgery(stage, model, config, tensor_sources(config, sources), change)
    write_record(stage.directory, sources)
    stage.metric("layers", len(sources), main=True)
    stage.metric("new layers", len(new_layers(sources)))
    return result


def write_surgery(
    stage: StageContext,
    model: Checkpoint,
    config: ModelConfig,
    sources: Mapping[str, str],
    change: Change | None = None,
) -> Checkpoint:
    """Write a checkpoint with `config`, whose tensors are changed tensors of `model`.

    `sources` gives for every tensor of the result its name in `model`; a source may be named
    several times, and each copy is stored separately. Memory holds a piece of a tensor, or with a
    `change` one tensor and its result. Dtypes stay, tied heads stay tied, tokenizer and generation
    config are copied. Before anything is written, a model of `config` is built on the meta device
    and its tensors are compared with those to be written. Raises InputError where they differ, or
    where `model` lacks a tensor or holds an extra one, such as a head whose config ties it to the
    embedding; a head that equals the embedding is left out.
    """
    _check_source(model)
    shapes = tensor_shapes(config) or {}
    assert set(shapes) == set(sources)
    _compare(meta_shapes(config), shapes)
    _check_tied_head(model)
    headers = model.headers()
    layout = {name: (headers[source][0], shapes[name]) for name, source in sources.items()}
    file = stage.directory / "model.safetensors"
    order = sorted(sources, key=lambda name: (sources[name], name))
    with (
        model.open_weights() as weights,
        TensorWriter(file, layout) as writer,
        stage.compute(),
        stage.progress(len(layout), "tensors") as progress,
    ):
        for name in order:
            source = sources[name]
            if change is None:
                for start, stop in pieces(math.prod(shapes[name])):
                    writer.write(name, weights.read(source, start, stop), start)
            else:
                tensor = read_tensor(weights, source)
                changed = change(name, tensor)
                assert tuple(changed.shape) == shapes[name], (name, tuple(changed.shape))
                writer.write(name, changed.to(tensor.dtype))
                del tensor, changed
            progress.advance()
    model.copy_companions(stage.directory)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (stage.directory / "config.json").write_text(text, encoding="utf-8")
    return Checkpoint(stage.directory)


def meta_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of what transformers stores for `config`, without a tied head.

    Raises InputError with transformers' message for a config that it refuses.
    """
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    with quiet(), torch.device("meta"):
        try:
            parsed = CONFIG_MAPPING[config["model_type"]].from_dict(by_name(config))
            state = AutoModelForCausalLM.from_config(parsed).state_dict()
        except Exception as error:  # validators raise types of their own
            problem = " ".join(str(error).split())
            raise InputError(f"transformers refuses the resulting config: {problem}") from error
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if ties_head(config):
        shapes.pop(HEAD, None)
    return shapes


def _check_source(model: Checkpoint) -> None:
    """Raise InputError unless the weights are exactly those that the config implies."""
    expected = tensor_shapes(model.config()) or {}
    stored = {name: shape for name, (_, shape) in model.headers().items()}
    for name, shape in expected.items():
        if name not in stored:
            raise InputError(f"{model.directory}: the weights lack {name}")
        if stored[name] != shape:
            raise InputError(
                f"{model.directory}: {name} has the shape {list(stored[name])}, but config.json "
                f"implies {list(shape)}"
            )
    for name in stored:
        if name not in expected and name != HEAD and "rotary_emb" not in name:
            raise InputError(
                f"{model.directory}: the weights hold {name}, which config.json does not have"
            )


def _check_tied_head(model: Checkpoint) -> None:
    """Raise InputError where the config ties the head to the embedding and the weights do not."""
    headers = model.headers()
    if HEAD not in headers or not ties_head(model.config()):
        return
    with model.open_weights() as weights:
        same = headers[HEAD] == headers[EMBEDDING] and holds_embedding(weights)
    if not same:
        raise InputError(
            f"{model.directory}: config.json ties the head to the embedding, and the weights hold "
            f"another {HEAD}: set tie_word_embeddings to false there, or remove that tensor"
        )


def _compare(expected: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    for name in {**expected, **written}:
        if expected.get(name) != written.get(name):
            raise InputError(
                f"the result would hold {name} in the shape {written.get(name)}, transformers "
                f"expects {expected.get(name)}"
            )

"""Checks that a folder holds a usable checkpoint, without reading weights."""

from __future__ import annotations

from pathlib import Path

from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import is_quantised, tensor_shapes
from storm_models.families.support import check_known
from storm_models.folder.files import INDEX_FILE, SUM_FILE, WEIGHT_FILE, checkpoint_files

_FOREIGN_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.gguf")
_NAMED_TEMPLATES = "additional_chat_templates"
"""The folder of transformers' further named templates, such as tool_use.jinja."""


def inspect_checkpoint(checkpoint: Checkpoint) -> CheckpointSpec:
    """Return the spec of a finished checkpoint; raises InputError when it cannot be used.

    Checked without reading weights: the files and headers, that the architecture is a causal
    language model, and for known families that names and shapes are those that the config implies
    (transformers initialises missing tensors at random and drops extra ones).
    """
    check_files(checkpoint.directory)
    config = checkpoint.config()
    architectures = config.get("architectures") or []
    if not config.get("model_type"):
        raise InputError(f"{checkpoint.directory}/config.json: no model_type")
    if architectures and not any(name.endswith("ForCausalLM") for name in architectures):
        problem = "is not a causal language model (…ForCausalLM)"
        if any(name.endswith("LMHeadModel") for name in architectures):  # GPT-2 and its kin
            problem = "is a language model of a family that is not read: supported are …ForCausalLM"
        named = ", ".join(architectures)
        raise InputError(f"{checkpoint.directory}/config.json: {named} {problem}")
    if config.get("transformers_weights") is not None:
        raise InputError(
            f"{checkpoint.directory}/config.json: transformers_weights names files of weights that "
            "are not read here: save the model again with transformers"
        )
    check_known(config, checkpoint.directory)
    if not is_quantised(config):
        _check_shapes(checkpoint)
    return checkpoint.spec()


def ignored_files(checkpoint: Checkpoint) -> list[str]:
    """Return a notice for each file that is not read: an index beside a single file, templates."""
    directory = checkpoint.directory
    index = checkpoint_files(directory).ignored_index
    notices = []
    if index is not None:
        notices.append(
            f"{directory}: {WEIGHT_FILE} is read and {index} is not, as in transformers; remove "
            "the one that should not be used"
        )
    if named := sorted(file.name for file in (directory / _NAMED_TEMPLATES).glob("*.jinja")):
        notices.append(
            f"{directory}/{_NAMED_TEMPLATES}: {', '.join(named)} is not read, and not passed on to "
            "models made from this one; to use one, set chat.template to its path"
        )
    return notices


def check_files(directory: Path) -> None:
    """Raise InputError for a folder whose files are not those of one model in safetensors."""
    if not (directory / "config.json").is_file():
        if (directory / "adapter_config.json").is_file():
            raise InputError(
                f"{directory}: an adapter, not a model: merge it into its base model first"
            )
        raise InputError(f"{directory}: no config.json (not a checkpoint in Hugging Face layout)")
    if (directory / "adapter_config.json").is_file():
        raise InputError(
            f"{directory}: holds an adapter_config.json beside the model; merge the adapter first"
        )
    if (directory / INDEX_FILE).is_file() or (directory / WEIGHT_FILE).is_file():
        return
    if (directory / SUM_FILE).is_file():
        raise InputError(
            f"{directory}: stored as a sum of other models, without weights; run its recipe by "
            "itself, not in a sweep: then outputs/latest links to its files"
        )
    foreign = sorted(file.name for end in _FOREIGN_WEIGHTS for file in directory.glob(end))
    if foreign:
        raise InputError(
            f"{directory}: the weights are in {foreign[0]}; only safetensors are read (a pickle "
            "can run code): save the model again with transformers"
        )
    raise InputError(f"{directory}: no weights (model.safetensors is missing)")


def _check_shapes(checkpoint: Checkpoint) -> None:
    expected = tensor_shapes(checkpoint.config())
    if expected is None:
        return
    stored = {name: shape for name, (_, shape) in checkpoint.headers().items()}
    missing = [name for name in expected if name not in stored]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{checkpoint.directory}: the weights lack {missing[0]}{more}, which config.json "
            "implies"
        )
    for name, shape in expected.items():
        if stored[name] != shape:
            raise InputError(
                f"{checkpoint.directory}: {name} has the shape {list(stored[name])}, but "
                f"config.json implies {list(shape)}"
            )
    for name in stored:
        if name.startswith("model.layers.") and name not in expected and "rotary" not in name:
            raise InputError(
                f"{checkpoint.directory}: the weights hold {name}, a layer that config.json does "
                "not have (num_hidden_layers too small?)"
            )

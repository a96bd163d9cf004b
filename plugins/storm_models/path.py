"""The component `path`: a finished checkpoint in a directory, used where it lies."""

from __future__ import annotations

from pathlib import Path as FilePath

from omegaconf import MISSING

from storm_exp import InputError, SettingError, Stage, component, setting
from storm_exp.digest import FileDigests
from storm_models.architecture import is_quantised, tensor_shapes
from storm_models.checkpoint import INDEX_FILE, WEIGHT_FILE, Checkpoint, CheckpointForecast
from storm_models.location import located
from storm_models.twins.model_twin import ModelTwin, is_small, twin_of_folder
from storm_models.weighted_sum import SUM_FILE

CHECKPOINT_MENUS = ("base_model", "finetuner", "merger", "compressor")
"""The menus whose components yield a checkpoint."""

_FOREIGN_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.gguf")


@component(CHECKPOINT_MENUS, "path", version=1)
class Path:
    """A checkpoint in Hugging Face layout, adopted where it lies: nothing is copied.

    Config, tokenizer, generation config, chat template, safetensors files and the record of a
    changed depth (`surgery.json`) belong to it; what else the directory holds does not.
    """

    path: str = setting(MISSING, semantic=False)
    """The directory. Its files' contents enter the key, its place does not."""

    scale = "own model"

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digest of every file of the checkpoint."""
        checkpoint = self._checkpoint()
        return {name: files.digest(checkpoint.directory / name) for name in checkpoint.files()}

    def forecast(self) -> CheckpointForecast:
        """Read config, tokenizer and file headers; raises InputError for what cannot be used."""
        return inspect_checkpoint(self._checkpoint())

    def run(self, stage: Stage) -> Checkpoint:
        """Adopt the directory."""
        checkpoint = self._checkpoint()
        facts = inspect_checkpoint(checkpoint)
        stage.metric("parameters", facts.parameters or 0, main=True)
        return Checkpoint(stage.adopt(checkpoint.directory, checkpoint.files()))

    def rehearsal(self) -> Path | ModelTwin:
        """Return a twin with the model's own tokenizer; a small model is taken as it is."""
        checkpoint = self._checkpoint()
        config = checkpoint.config()
        if is_small(config) or "quantization_config" in config:
            return self
        return twin_of_folder(checkpoint.directory.name, checkpoint.directory)

    def _checkpoint(self) -> Checkpoint:
        directory = located("path", self.path)
        if not directory.is_dir():
            raise SettingError("path", self.path, "must be a directory, this is a file")
        _check_files(directory)
        return Checkpoint(directory)


def inspect_checkpoint(checkpoint: Checkpoint) -> CheckpointForecast:
    """Return the facts of a finished checkpoint; raises InputError when it cannot be used.

    Checked without reading weights: the files and headers, that the architecture is a causal
    language model, and for known families that names and shapes are those that the config asks
    for (transformers initialises what is missing at random, and drops what is left over).
    """
    facts = checkpoint.facts()
    config = facts.config or {}
    architectures = config.get("architectures") or []
    if not config.get("model_type"):
        raise InputError(f"{checkpoint.directory}/config.json: no model_type")
    if architectures and not any(str(name).endswith("ForCausalLM") for name in architectures):
        raise InputError(
            f"{checkpoint.directory}/config.json: {', '.join(map(str, architectures))} is no "
            "causal language model (…ForCausalLM)"
        )
    if not is_quantised(config):
        _check_shapes(checkpoint)
    return facts


def _check_files(directory: FilePath) -> None:
    if not (directory / "config.json").is_file():
        if (directory / "adapter_config.json").is_file():
            raise InputError(f"{directory}: an adapter, not a model: merge it into its model first")
        raise InputError(f"{directory}: no config.json (not a checkpoint in Hugging Face layout)")
    if (directory / "adapter_config.json").is_file():
        raise InputError(
            f"{directory}: holds an adapter_config.json beside the model; merge the adapter first"
        )
    if (directory / INDEX_FILE).is_file() or (directory / WEIGHT_FILE).is_file():
        return
    if (directory / SUM_FILE).is_file():
        raise InputError(
            f"{directory}: kept as a sum of other models; run its recipe by itself, not in a "
            "sweep, and outputs/latest leads to its files"
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
    found = {name: shape for name, (_, shape) in checkpoint.headers().items()}
    missing = [name for name in expected if name not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{checkpoint.directory}: config.json asks for {missing[0]}{more}, which the weights "
            "lack"
        )
    for name, shape in expected.items():
        if found[name] != shape:
            raise InputError(
                f"{checkpoint.directory}: {name} has the shape {list(found[name])}, config.json "
                f"asks for {list(shape)}"
            )
    for name in found:
        if name.startswith("model.layers.") and name not in expected and "rotary" not in name:
            raise InputError(
                f"{checkpoint.directory}: the weights hold {name}, for which config.json has no "
                "place (num_hidden_layers too small?)"
            )

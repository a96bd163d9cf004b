"""Checkpoints in Hugging Face layout, asked for a model, for tensors or for files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import Artifact, Forecast, InputError
from storm_models.header import read_header
from storm_models.tokenizer import tokenizer_digest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
COMPANION_FILES = ("config.json", "generation_config.json", *TOKENIZER_FILES)
"""What stands beside the weights."""

_QUANTISATION_SUFFIXES = ("_scale", "_zero_point", "_shape", "_g_idx")


@dataclasses.dataclass(kw_only=True)
class CheckpointForecast(Forecast):
    """What is known of a checkpoint from its config and file headers alone."""

    config: dict[str, Any] | None = None
    """The contents of config.json."""
    parameters: int | None = None
    """Number of stored parameters; a tied head counts once."""
    tokenizer: str | None = None
    """Digest of the tokenizer's files."""
    has_chat_template: bool | None = None
    shapes: str | None = None
    """Digest of every tensor's name and shape: equal for checkpoints that can be merged."""

    def summary(self) -> str:
        """Return, for example, `1.3 M parameters, llama`."""
        if self.parameters is None:
            return str((self.config or {}).get("model_type", ""))
        kind = str((self.config or {}).get("model_type", ""))
        return f"{readable_count(self.parameters)} parameters, {kind}".rstrip(", ")


class Checkpoint(Artifact):
    """A model with its tokenizer: config.json, safetensors, tokenizer files."""

    forecast_type = CheckpointForecast

    def __init__(self, directory: Path, key: str = "") -> None:
        """Open the checkpoint in `directory`, reading nothing."""
        super().__init__(directory, key)
        self._known_index: dict[str, tuple[Path, tuple[str, tuple[int, ...]]]] | None = None

    def config(self) -> dict[str, Any]:
        """Return config.json; raises InputError when it is missing or no JSON object."""
        return read_json(self.directory / "config.json")

    def weight_files(self) -> list[Path]:
        """Return the safetensors files, in order; raises InputError when there are none."""
        index = self.directory / "model.safetensors.index.json"
        if index.is_file():
            names = sorted(set(read_json(index)["weight_map"].values()))
            files = [self.directory / name for name in names]
        else:
            files = [self.directory / "model.safetensors"]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(f"{self.directory}: no {', '.join(missing)} (weights in safetensors)")
        return files

    def files(self) -> list[str]:
        """Return the names of the files that make up the checkpoint, and no others."""
        names = [name for name in COMPANION_FILES if (self.directory / name).is_file()]
        if (self.directory / "model.safetensors.index.json").is_file():
            names.append("model.safetensors.index.json")
        return names + [file.name for file in self.weight_files()]

    def headers(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return {tensor name: (safetensors dtype, shape)}, reading no weights."""
        return {name: entry for name, (_, entry) in self._index().items()}

    def file_of(self, name: str) -> Path:
        """Return the file that holds a tensor; raises KeyError when there is none."""
        return self._index()[name][0]

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (name, tensor) one at a time, in the order of the files and sorted by name."""
        from storm_models.tensor_file import TensorReader

        for file in self.weight_files():
            with TensorReader(file) as reader:
                for name in sorted(reader.entries):
                    yield name, reader.tensor(name)

    def tensor(self, name: str) -> torch.Tensor:
        """Return one tensor by its exact name; raises KeyError when there is none."""
        from storm_models.tensor_file import TensorReader

        with TensorReader(self.file_of(name)) as reader:
            return reader.tensor(name)

    def copy_companions(self, directory: Path) -> None:
        """Copy config, generation config, tokenizer and chat template to another directory."""
        for name in COMPANION_FILES:
            if (self.directory / name).is_file():
                shutil.copyfile(self.directory / name, directory / name)

    def _index(self) -> dict[str, tuple[Path, tuple[str, tuple[int, ...]]]]:
        """Return {tensor name: (file, (dtype, shape))}; the headers are read once."""
        if self._known_index is None:
            self._known_index = {
                name: (file, (entry["dtype"], tuple(entry["shape"])))
                for file in self.weight_files()
                for name, entry in read_header(file).items()
            }
        return self._known_index

    def load(self, dtype: str = "auto", device: str = "cpu") -> PreTrainedModel:
        """Return the model, in evaluation mode; a compressed one is decompressed.

        Raises InputError for weights that are missing: transformers would make them up.
        """
        import torch
        from transformers import AutoModelForCausalLM, CompressedTensorsConfig

        from storm_models.quiet import quiet

        options: dict[str, Any] = {"dtype": "auto" if dtype == "auto" else getattr(torch, dtype)}
        method = (self.config().get("quantization_config") or {}).get("quant_method")
        with quiet():
            if method == "compressed-tensors":  # otherwise it is unpacked in the first forward
                options["quantization_config"] = CompressedTensorsConfig(run_compressed=False)
            model, info = AutoModelForCausalLM.from_pretrained(
                self.directory,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
        missing = sorted(info["missing_keys"])
        if missing:
            raise InputError(f"{self.directory}: the weights lack {', '.join(missing[:3])}")
        loaded: PreTrainedModel = model.to(device).eval()
        return loaded

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.directory, local_files_only=True)

    def facts(self) -> CheckpointForecast:
        """Read config, headers and tokenizer files; raises InputError when one is missing."""
        headers = self.headers()
        return CheckpointForecast(
            config=self.config(),
            parameters=sum(
                math.prod(shape)
                for name, (_, shape) in headers.items()
                if not name.endswith(_QUANTISATION_SUFFIXES)
            ),
            tokenizer=self.tokenizer_digest(),
            has_chat_template=self.has_chat_template(),
            shapes=shapes_digest({name: shape for name, (_, shape) in headers.items()}),
        )

    def tokenizer_digest(self) -> str:
        """Return a digest of the tokens and their ids; raises InputError without a tokenizer."""
        return tokenizer_digest(self.directory)

    def has_chat_template(self) -> bool:
        """Return whether the tokenizer carries a chat template."""
        if (self.directory / "chat_template.jinja").is_file():
            return True
        config = self.directory / "tokenizer_config.json"
        return config.is_file() and bool(read_json(config).get("chat_template"))


def shapes_digest(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return a digest of names and shapes, independent of order and dtype."""
    text = json.dumps({name: list(shapes[name]) for name in sorted(shapes)})
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON object from a file; raises InputError that names the file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file.parent}: no {file.name}") from error
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object")
    return content


def readable_count(number: float) -> str:
    """Return 1300000 as `1.3 M`."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}".replace(".00 ", " ")
    return str(int(number))

"""Checkpoints in Hugging Face layout, asked for a model, for tensors or for files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import Artifact, Forecast, InputError

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
            return (self.config or {}).get("model_type", "")
        kind = (self.config or {}).get("model_type", "")
        return f"{readable_count(self.parameters)} parameters, {kind}".rstrip(", ")


class Checkpoint(Artifact):
    """A model with its tokenizer: config.json, safetensors, tokenizer files."""

    forecast_type = CheckpointForecast

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

    def headers(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return {tensor name: (safetensors dtype, shape)}, reading no weights."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        for file in self.weight_files():
            for name, entry in read_header(file).items():
                found[name] = (entry["dtype"], tuple(entry["shape"]))
        return found

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (name, tensor) one at a time, in the order of the files and sorted by name."""
        from safetensors import safe_open

        for file in self.weight_files():
            with safe_open(file, framework="pt") as reader:
                for name in sorted(reader.keys()):
                    yield name, reader.get_tensor(name)

    def tensor(self, name: str) -> torch.Tensor:
        """Return one tensor by its exact name; raises KeyError when there is none."""
        from safetensors import safe_open

        for file in self.weight_files():
            if name in read_header(file):
                with safe_open(file, framework="pt") as reader:
                    return reader.get_tensor(name)
        raise KeyError(name)

    def load(self, dtype: str = "auto", device: str = "cpu") -> PreTrainedModel:
        """Return the model, in evaluation mode."""
        import torch
        from transformers import AutoModelForCausalLM

        wanted = dtype if dtype == "auto" else getattr(torch, dtype)
        model = AutoModelForCausalLM.from_pretrained(
            self.directory, dtype=wanted, local_files_only=True, use_safetensors=True
        )
        return model.to(device).eval()

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.directory, local_files_only=True)

    def facts(self) -> CheckpointForecast:
        """Read config, headers and tokenizer files; raises InputError when one is missing."""
        headers = self.headers()
        return CheckpointForecast(
            config=self.config(),
            parameters=sum(math.prod(shape) for _, shape in headers.values()),
            tokenizer=self.tokenizer_digest(),
            has_chat_template=self.has_chat_template(),
            shapes=shapes_digest({name: shape for name, (_, shape) in headers.items()}),
        )

    def tokenizer_digest(self) -> str:
        """Return a digest of what turns text into ids; raises InputError without a tokenizer."""
        vocabulary = [f for f in TOKENIZER_FILES[:4] if (self.directory / f).is_file()]
        if not vocabulary:
            raise InputError(f"{self.directory}: no tokenizer (tokenizer.json is missing)")
        digest = hashlib.sha256()
        for name in vocabulary:
            digest.update((self.directory / name).read_bytes())
        return digest.hexdigest()

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


def read_header(file: Path) -> dict[str, dict[str, Any]]:
    """Return the header of a safetensors file without its metadata; raises InputError."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            header = json.loads(stream.read(min(length, 100_000_000)))
        except ValueError as error:
            raise InputError(f"{file}: not a safetensors file ({error})") from error
    header.pop("__metadata__", None)
    return header


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

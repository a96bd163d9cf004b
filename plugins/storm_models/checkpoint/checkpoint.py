"""Checkpoints in Hugging Face layout, read as a model, as tensors or as files."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import Artifact, InputError, Memos, referenced
from storm_models.checkpoint.linear_combination import LinearCombination
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.model_config import ModelConfig, model_config
from storm_models.folder.config_check import check_config, finite
from storm_models.folder.files import (
    INDEX_FILE,
    TEMPLATE_FILE,
    WEIGHT_FILE,
    checkpoint_files,
    companion_files,
)
from storm_models.folder.header import file_size, read_header
from storm_models.folder.json_file import read_json
from storm_models.folder.tokenizer import tokenizer_digest
from storm_models.folder.vocabulary import check_vocabulary

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from storm_models.chat.renderer import ChatRenderer
    from storm_models.checkpoint.weights import Weights

_QUANTISATION_SUFFIXES = ("_scale", "_zero_point", "_shape", "_g_idx")


class Checkpoint(Artifact):
    """A model with its tokenizer: config.json, safetensors, tokenizer files.

    It may be stored without weights, as a weighted sum of other checkpoints of its store. Its
    tensors and its model are then computed when they are read; where files of weights are needed,
    `materialise(stage)` writes them.
    """

    spec_type = CheckpointSpec
    shown_as = "model"

    def __init__(self, directory: Path, key: str = "") -> None:
        """Open the checkpoint in `directory`, reading nothing."""
        super().__init__(directory, key)
        self._known_index: dict[str, tuple[Path, tuple[str, tuple[int, ...]]]] | None = None
        self._known_sum: LinearCombination | None = None
        self._known_parents: list[Checkpoint] | None = None

    def config(self) -> ModelConfig:
        """Return config.json; raises InputError when it is missing or holds impossible values."""
        file = self.directory / "config.json"
        companion_files(self.directory)
        content = finite(read_json(file))
        check_config(content, str(file))
        return model_config(content)

    def weighted_sum(self) -> LinearCombination | None:
        """Return the sum that gives the weights, None when they are in files."""
        if self._known_sum is None:
            stored = any((self.directory / name).is_file() for name in (WEIGHT_FILE, INDEX_FILE))
            self._known_sum = None if stored else LinearCombination.read(self.directory)
        return self._known_sum

    def parents(self) -> list[Checkpoint]:
        """Return the checkpoints that are summed; raises StoreError for one that was deleted."""
        if self._known_parents is None:
            total = self.weighted_sum()
            keys = total.parents if total else []
            self._known_parents = [Checkpoint(referenced(self, key), key) for key in keys]
        return self._known_parents

    def materialise(self, stage: Memos) -> Checkpoint:
        """Return the same checkpoint with weights in files: itself, unless it is a sum.

        A sum's files are a memo of the stage, written once in a store. Raises InputError for NaN or
        overflow, StoreError when a parent was deleted.
        """
        if self.weighted_sum() is None:
            return self
        from storm_models.checkpoint.materialise import materialise

        payload = materialise(self, self.open_weights, stage)
        return Checkpoint(payload, payload.name)

    def weight_files(self) -> list[Path]:
        """Return the safetensors files, in order; raises InputError when there are none."""
        weights = checkpoint_files(self.directory).weights
        if not weights:
            raise InputError(
                f"{self.directory}: a sum of other checkpoints, without weights of its own"
            )
        return [self.directory / name for name in weights]

    def files(self) -> list[str]:
        """Return the names of the files that make up the checkpoint, and no others."""
        return checkpoint_files(self.directory).names()

    def headers(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return {tensor name: (safetensors dtype, shape)}, reading no weights."""
        total = self.weighted_sum()
        if total is not None:
            return dict(total.headers)
        return {name: entry for name, (_, entry) in self._index().items()}

    def shards(self) -> dict[str, dict[str, tuple[str, tuple[int, ...]]]]:
        """Return {file name: headers of its tensors}; a sum counts as one file."""
        if self.weighted_sum() is not None:
            return {WEIGHT_FILE: self.headers()}
        shards: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {}
        for name, (file, entry) in self._index().items():
            shards.setdefault(file.name, {})[name] = entry
        return shards

    def weight_bytes(self) -> int:
        """Return the bytes of the weight files, headers included; a sum's as if written."""
        if self.weighted_sum() is not None:
            return file_size(self.headers())
        return sum(file.stat().st_size for file in self.weight_files())

    @contextlib.contextmanager
    def open_weights(self) -> Iterator[Weights]:
        """Open the tensors for reading in pieces; raises StoreError when a parent was deleted."""
        from storm_models.checkpoint.weights import FileWeights, SumWeights

        total = self.weighted_sum()
        with contextlib.ExitStack() as stack:
            if total is None:
                files = {name: file for name, (file, _) in self._index().items()}
                yield FileWeights(self.headers(), files, stack)
            else:
                parents = [stack.enter_context(parent.open_weights()) for parent in self.parents()]
                yield SumWeights(total.headers, total.coefficients, parents, total.names)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (name, tensor) one at a time, in the order of the files and sorted by name."""
        from storm_models.checkpoint.weights import read_tensor

        with self.open_weights() as weights:
            for headers in self.shards().values():
                for name in sorted(headers):
                    yield name, read_tensor(weights, name)

    def tensor(self, name: str) -> torch.Tensor:
        """Return one tensor by its exact name; raises KeyError when there is none."""
        from storm_models.checkpoint.weights import read_tensor

        with self.open_weights() as weights:
            return read_tensor(weights, name)

    def copy_companions(self, directory: Path, *, but: Collection[str] = ()) -> None:
        """Copy the files beside the weights, except `but`, unchanged; raises InputError."""
        for name in companion_files(self.directory):
            if name not in but:
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

        Raises InputError for missing weights: transformers would initialise them at random.
        """
        from storm_models.checkpoint.load import load_model

        if self.weighted_sum() is None:
            return load_model(self.directory, self.config(), dtype, device)
        with self.open_weights() as weights:
            return load_model(self.directory, self.config(), dtype, device, weights)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer."""
        from storm_models.folder.pretrained import read_tokenizer

        return read_tokenizer(self.directory)

    def chat(self) -> ChatRenderer:
        """Return the renderer of chats; raises InputError without a chat template."""
        from storm_models.chat.chat_file import TemplateContext
        from storm_models.chat.renderer import ChatRenderer

        context = TemplateContext.read(self.directory)
        return ChatRenderer(self.tokenizer(), context.arguments, context.date)

    def spec(self) -> CheckpointSpec:
        """Return the spec read from config, headers and tokenizer; raises InputError."""
        from storm_models.chat.chat_file import TemplateContext

        headers, config = self.headers(), self.config()
        check_vocabulary(self.directory, config)
        chat = TemplateContext.read(self.directory)
        return CheckpointSpec(
            config=config,
            parameters=sum(
                math.prod(shape)
                for name, (_, shape) in headers.items()
                if not name.endswith(_QUANTISATION_SUFFIXES)
            ),
            tokenizer=self.tokenizer_digest(),
            has_chat_template=self.has_chat_template(),
            chat_arguments=chat.arguments,
            chat_date=chat.date,
            shapes=shapes_digest({name: shape for name, (_, shape) in headers.items()}),
        )

    def tokenizer_digest(self) -> str:
        """Return a digest of the tokens and their ids; raises InputError without a tokenizer."""
        return tokenizer_digest(self.directory)

    def has_chat_template(self) -> bool:
        """Return whether the tokenizer carries a chat template."""
        if (self.directory / TEMPLATE_FILE).is_file():
            return True
        config = self.directory / "tokenizer_config.json"
        return config.is_file() and bool(read_json(config).get("chat_template"))

"""The component `model_twin`: a small random model that replaces a large one in rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import MISSING

from storm_exp import FileDigests, StageContext, component, setting
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, chat_spec, shapes_digest
from storm_models.families.architecture import parameter_count, tensor_shapes
from storm_models.families.model_config import ModelConfig, model_config
from storm_models.folder.files import companion_files
from storm_models.folder.json_file import read_json
from storm_models.twins.kinds import KINDS, vocabulary
from storm_models.twins.originals import Original, original_of
from storm_models.twins.shrinking import shrink

SMALL = 30_000_000
"""Parameters up to which a rehearsal uses a model itself."""


@component("twin", "model_twin", version=4)
class ModelTwin:
    """A random model of the same family as a given one, reduced in width, with a similar tokenizer.

    Config and tokenizer are the model's own where they can be read. Otherwise the tokenizer is
    trained here, with the special tokens, BOS and chat template of the model's family.
    """

    of: str = MISSING
    """The model that it replaces."""
    config: dict[str, Any] = setting({})
    """The model's config.json, with reduced sizes."""
    original: Original = setting(Original)
    """How the tokenizer is made; not used with `files`."""
    files: str = setting("", semantic=False)
    """The folder with the model's own config and tokenizer."""

    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for the model that it replaces."""

    scale = "rehearsal on twins"

    @property
    def stands_for(self) -> str:
        """The description that a rehearsal shows."""
        how = (
            "its own tokenizer"
            if self.files
            else f"a tokenizer of {self.original.tokenizer}'s kind"
        )
        return f"a random {self.config.get('model_type')} model with {how}"

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digests of the files that are copied."""
        digests = {path.name: files.digest(path) for path in self._companions()}
        return {**digests, "chat": self.chat.fingerprint(files)}

    def plan_spec(self) -> CheckpointSpec:
        """Return what is known before the twin is made."""
        if self.files:
            source = Checkpoint(Path(self.files))
            tokenizer, chats = source.tokenizer_digest(), source.has_chat_template()
            known = CheckpointSpec(
                config=model_config(dict(self.config)), tokenizer=tokenizer, has_chat_template=chats
            )
            return chat_spec(known, self.chat)
        chats = bool(self.original.template)
        shapes = tensor_shapes(model_config(self.config))
        known = CheckpointSpec(
            config=model_config(dict(self.config)),
            parameters=parameter_count(model_config(self.config)),
            has_chat_template=chats,
            shapes=shapes_digest(shapes) if shapes else None,
        )
        return chat_spec(known, self.chat)

    def run(self, stage: StageContext) -> Checkpoint:
        """Draw the weights, and write or copy the files beside them."""
        from storm_models.twins.writer import write_twin

        twin = write_twin(
            stage, self.of, self.config, original=self.original, companions=self._companions()
        )
        write_chat_settings(twin.directory, self.chat)
        return twin

    def _companions(self) -> list[Path]:
        if not self.files:
            return []
        folder = Path(self.files)
        return [folder / name for name in companion_files(folder)]


def twin_of_folder(of: str, folder: Path, chat: ChatSettings) -> ModelTwin:
    """Return the twin of a model whose config and tokenizer are in a folder."""
    config = shrink(read_json(folder / "config.json"))
    return ModelTwin(of=of, config=config, files=str(folder), chat=chat)


def twin_of_repository(repo: str, config: dict[str, Any], chat: ChatSettings) -> ModelTwin:
    """Return the twin of a repository that is not on this machine, from its expected config."""
    original, _ = original_of(repo, config)
    twin = shrink({**original.config, **config})
    twin["vocab_size"] = vocabulary(KINDS[original.tokenizer], original.padded)
    return ModelTwin(of=repo, config=twin, original=original, chat=chat)


def is_small(config: ModelConfig) -> bool:
    """Return whether a model is small enough to be rehearsed with itself."""
    parameters = parameter_count(config)
    return parameters is not None and parameters <= SMALL

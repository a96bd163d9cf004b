"""The component `path`: a finished checkpoint in a directory, used where it lies."""

from __future__ import annotations

from typing import ClassVar

from omegaconf import MISSING

from storm_exp import FileDigests, SettingError, StageContext, component, setting
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inspection import check_files, ignored_files, inspect_checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, chat_spec
from storm_models.families.architecture import is_quantised
from storm_models.families.model_config import by_name
from storm_models.folder.existing_path import existing_path
from storm_models.sources.adoption import adopt
from storm_models.twins.model_twin import ModelTwin, is_small, twin_of_folder
from storm_models.twins.shrinking import can_shrink

CHECKPOINT_MENUS = ("base_model", "finetuner", "merger", "compressor")
"""The menus whose components make a checkpoint."""


@component(CHECKPOINT_MENUS, "path", version=2, requires=())
class Path:
    """A checkpoint in Hugging Face layout, whose weights are used where they lie.

    Config, tokenizer, generation config, chat template, safetensors files and the record of a
    changed depth (`surgery.json`) belong to it; what else the directory holds does not.
    """

    path: str = setting(MISSING, semantic=False)
    """A checkpoint's directory in Hugging Face layout. The contents of its files enter the key, its
    path does not."""

    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for this model and for every model derived from it."""

    scale = "own model"
    misplaced: ClassVar = {"path={}": r".+"}
    """Settings, as overrides, that are mistaken for the menu's options, by patterns of values."""

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digest of every file of the checkpoint, and of the chat template."""
        checkpoint = self._checkpoint()
        checkpoint.config()  # refuses what cannot be a checkpoint before its weights are read
        digests = {name: files.digest(checkpoint.directory / name) for name in checkpoint.files()}
        return {**digests, "chat": self.chat.fingerprint(files)}

    def plan_spec(self) -> CheckpointSpec:
        """Return the spec from config, tokenizer and headers; raises InputError if unusable."""
        checkpoint = self._checkpoint()
        return chat_spec(inspect_checkpoint(checkpoint), self.chat, checkpoint.directory)

    def notes(self) -> list[str]:
        """Return notices about files that are not read."""
        return ignored_files(self._checkpoint())

    def run(self, stage: StageContext) -> Checkpoint:
        """Adopt the directory."""
        checkpoint = self._checkpoint()
        for notice in ignored_files(checkpoint):
            stage.warn(notice)
        spec = inspect_checkpoint(checkpoint)
        stage.metric("parameters", spec.parameters or 0, main=True)
        return adopt(stage, checkpoint, self.chat)

    def rehearsal(self) -> Path | ModelTwin:
        """Return a twin with the model's own tokenizer; a small model is used itself."""
        checkpoint = self._checkpoint()
        config = checkpoint.config()
        if not can_shrink(by_name(config)) or is_small(config) or is_quantised(config):
            return self
        return twin_of_folder(checkpoint.directory.name, checkpoint.directory, self.chat)

    def _checkpoint(self) -> Checkpoint:
        directory = existing_path("path", self.path)
        if not directory.is_dir():
            raise SettingError("path", self.path, "must be a directory, but is a file")
        check_files(directory)
        return Checkpoint(directory)

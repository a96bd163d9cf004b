"""Adopting a finished checkpoint as a stage's artifact, with links to its weights."""

from __future__ import annotations

import shutil

from storm_exp import StageContext
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.folder.files import checkpoint_files


def adopt(stage: StageContext, checkpoint: Checkpoint, chat: ChatSettings) -> Checkpoint:
    """Link to the weights, copy the files beside them, and write the chat settings."""
    files = checkpoint_files(checkpoint.directory)
    beside = [*files.companions, *([files.index] if files.index else [])]
    for name in beside:
        shutil.copyfile(checkpoint.directory / name, stage.directory / name)
    for name in files.weights:
        stage.link(checkpoint.directory / name)
    write_chat_settings(stage.directory, chat)
    return Checkpoint(stage.directory)

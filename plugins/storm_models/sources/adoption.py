"""Adopting a finished checkpoint as a stage's artifact, with links to its weights."""

from __future__ import annotations

import shutil

from storm_exp import StageContext
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.folder.files import checkpoint_files


def adopt(stage: StageContext, checkpoint: Checkpoint, chat: ChatSettings) -> Checkpoint:
    """Link to the weights, copy the files beside them, and write the chat settings.

    A folder that is itself a link, which may change (outputs/latest/merger), is adopted where it
    leads.
    """
    directory = checkpoint.directory.resolve()
    files = checkpoint_files(directory)
    beside = [*files.companions, *([files.index] if files.index else [])]
    for name in beside:
        shutil.copyfile(directory / name, stage.directory / name)
    for name in files.weights:
        stage.link(directory / name)
    write_chat_settings(stage.directory, chat)
    return Checkpoint(stage.directory)

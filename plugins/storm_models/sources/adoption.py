"""A finished checkpoint as a stage's own: its weights stay where they lie."""

from __future__ import annotations

import shutil

from storm_exp import StageContext
from storm_models.chat.files import settle_chat
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.folder.files import checkpoint_files


def adopt(stage: StageContext, checkpoint: Checkpoint, chat: ChatSettings) -> Checkpoint:
    """Link to the weights, copy what stands beside them, and let it say how chats are rendered."""
    files = checkpoint_files(checkpoint.directory)
    beside = [*files.companions, *([files.index] if files.index else [])]
    for name in beside:
        shutil.copyfile(checkpoint.directory / name, stage.directory / name)
    for name in files.weights:
        stage.link(checkpoint.directory / name)
    settle_chat(stage.directory, chat)
    return Checkpoint(stage.directory)

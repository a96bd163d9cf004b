"""The component `command`: a user's program that makes a checkpoint, as a stage."""

from __future__ import annotations

from typing import Any, ClassVar

from storm_command.program import Program
from storm_data.dataset import Dataset
from storm_exp import FileDigests, StageContext, component, setting
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inspection import inspect_checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, chat_spec


@component(("base_model", "finetuner", "merger", "compressor"), "command", version=2)
class CheckpointCommand(Program):
    """Runs a program that writes a checkpoint to `{out}`.

    The command line is split as a shell would, but run without a shell. `{model}`, `{models}`
    (one argument each), `{data}`, `{out}`, `{scratch}` and `{seed}` are replaced in it.
    """

    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for the program's model, and for models made from it."""

    places: ClassVar[tuple[str, ...]] = ("model", "models", "data", "out", "scratch", "seed")

    def plan_spec(self, **ports: Any) -> CheckpointSpec:
        """Check that the program exists; nothing is known of its model."""
        self.check_program()
        return chat_spec(CheckpointSpec(), self.chat)

    def fingerprint(self, files: FileDigests) -> Any:
        """Return the digests of the files in `reads`, and of the chat template."""
        return [*super().fingerprint(files), self.chat.fingerprint(files)]

    def run(
        self,
        stage: StageContext,
        model: Checkpoint | None = None,
        models: list[Checkpoint] | None = None,
        data: Dataset | None = None,
    ) -> Checkpoint:
        """Run the program; raises InputError with the end of its output when it fails.

        Raises InputError as well where the result is not a usable checkpoint.
        """
        reads = model if "{model}" in self.line else None
        values = {
            "model": str(reads.materialise(stage).directory) if reads else "",
            "data": str(data.directory) if data else "",
            "out": str(stage.directory),
            "scratch": str(stage.scratch),
        }
        several = models or [] if "{models}" in self.line else []
        folders = [str(checkpoint.materialise(stage).directory) for checkpoint in several]
        self.execute(stage, values, {"models": folders})
        result = Checkpoint(stage.directory)
        write_chat_settings(result.directory, self.chat)
        inspect_checkpoint(result)
        return result

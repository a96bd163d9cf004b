"""The component `model_twin`: a small random model in place of a large one, for rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import MISSING

from storm_exp import FileDigests, StageContext, component, setting
from storm_models.chat.files import settle_chat
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
"""Parameters up to which a model is rehearsed with as it is."""


@component("twin", "model_twin", version=2)
class ModelTwin:
    """A random model of a model's family, shrunk in width, with a tokenizer of its kind.

    Of what can be read, config and tokenizer are the model's own. Otherwise the tokenizer is
    trained here, with the special tokens, the BOS and the chat template's form of its family.
    """

    of: str = MISSING
    """The model that it stands in for."""
    config: dict[str, Any] = setting({})
    """config.json, shrunk."""
    original: Original = setting(Original)
    """How the tokenizer is made; not used where `files` says where one is."""
    files: str = setting("", semantic=False)
    """The folder with the model's own config and tokenizer."""

    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for the model that it stands in for."""

    scale = "rehearsal on twins"

    @property
    def stands_for(self) -> str:
        """What the rehearsal says of it."""
        how = (
            "its own tokenizer"
            if self.files
            else f"a tokenizer of {self.original.tokenizer}'s kind"
        )
        return f"a random {self.config.get('model_type')} model with {how}"

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digests of the files that are taken over."""
        found = {path.name: files.digest(path) for path in self._companions()}
        return {**found, "chat": self.chat.fingerprint(files)}

    def plan_spec(self) -> CheckpointSpec:
        """Say what is known before it is made."""
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
        """Draw the weights, and write or copy what stands beside them."""
        from storm_models.twins.making import make_twin

        made = make_twin(
            stage, self.of, self.config, original=self.original, companions=self._companions()
        )
        settle_chat(made.directory, self.chat)
        return made

    def _companions(self) -> list[Path]:
        if not self.files:
            return []
        folder = Path(self.files)
        return [folder / name for name in companion_files(folder)]


def twin_of_folder(of: str, folder: Path, chat: ChatSettings) -> ModelTwin:
    """Return the twin of a model whose config and tokenizer lie in a folder."""
    config = shrink(read_json(folder / "config.json"))
    return ModelTwin(of=of, config=config, files=str(folder), chat=chat)


def twin_of_repository(repo: str, config: dict[str, Any], chat: ChatSettings) -> ModelTwin:
    """Return the twin of a repository of which no file is here, from what its config will say."""
    original, _ = original_of(repo, config)
    twin = shrink({**original.config, **config})
    twin["vocab_size"] = vocabulary(KINDS[original.tokenizer], original.padded)
    return ModelTwin(of=repo, config=twin, original=original, chat=chat)


def is_small(config: ModelConfig) -> bool:
    """Return whether a model is no larger than a twin may be: it needs none."""
    parameters = parameter_count(config)
    return parameters is not None and parameters <= SMALL

"""The component `hub`: a checkpoint from the Hugging Face hub."""

from __future__ import annotations

from typing import Any, ClassVar

from omegaconf import MISSING

from storm_exp import Cost, FileDigests, SettingError, StageContext, component, setting
from storm_models.chat.chat_file import check_turn_tokens
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.inspection import ignored_files, inspect_checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, chat_spec, shapes_digest
from storm_models.families.architecture import parameter_count, tensor_shapes
from storm_models.families.model_config import model_config
from storm_models.folder.files import COMPANION_FILES, is_complete
from storm_models.folder.json_file import read_json
from storm_models.sources.adoption import adopt
from storm_models.sources.hub_lookup import look_up_repository
from storm_models.sources.path import CHECKPOINT_MENUS
from storm_models.sources.repository import cached_snapshot, fetch, resolve_commit
from storm_models.twins.kinds import KINDS
from storm_models.twins.model_twin import ModelTwin, twin_of_folder, twin_of_repository
from storm_models.twins.originals import original_of

_PATTERNS = [*COMPANION_FILES, "model*.safetensors", "model.safetensors.index.json"]
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@component(CHECKPOINT_MENUS, "hub", version=2, requires=("huggingface_hub",), extra="train")
class Hub:
    """A repository of the hub at one commit, used from the hub's own cache."""

    repo: str = MISSING
    """The repository, `owner/name`."""

    revision: str = "main"
    """A branch, a tag or, best, a commit. The commit that it resolves to enters the key; once
    fetched, it is the cache's."""

    expected_config: dict[str, Any] = setting({}, semantic=False)
    """The contents of config.json, as far as known: a plan can derive sizes without the hub.
    A checkpoint whose config.json differs is refused."""

    chat: ChatSettings = setting(ChatSettings)
    """How chats are rendered for this model and for every model derived from it."""

    scale = "full size"
    misplaced: ClassVar = {"repo={}": r"[\w-][\w.-]*/[\w.-]+"}
    """Settings, as overrides, that are mistaken for the menu's options, by patterns of values."""

    def __post_init__(self) -> None:
        owner, slash, name = self.repo.partition("/")
        if (self.repo != MISSING and not (owner and slash and name)) or "/" in name:
            raise SettingError(
                "repo", self.repo, "must be `owner/name`; for a folder take base_model=path"
            )

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the commit, or the revision while the hub cannot be asked, and the template."""
        commit = resolve_commit(self.repo, self.revision)
        identity = {"commit": commit} if commit else {"revision": self.revision}
        return {**identity, "chat": self.chat.fingerprint(files)}

    def fetches(self) -> list[str]:
        """Return what has to be downloaded before this can run, as text for people."""
        if self._cached() is not None:
            return []
        parameters = parameter_count(model_config(self.expected_config))
        width = _BYTES.get(str(self.expected_config.get("dtype")), 2)
        size = f", about {parameters * width / 1e9:.1f} GB" if parameters else ""
        return [f"model {self.repo} at {self.revision}{size}"]

    def plan_spec(self) -> CheckpointSpec:
        """Return the spec of the cached files, else what `expected_config` implies."""
        cached = self._cached()
        if cached is not None:
            return chat_spec(self._inspect(cached), self.chat, cached.directory)
        if not self.expected_config:
            return chat_spec(CheckpointSpec(), self.chat)
        original, published = original_of(self.repo, self.expected_config)
        if published:
            kind = KINDS[original.tokenizer]
            check_turn_tokens({*kind.first, *kind.last}, self.chat)
        expected = model_config(dict(self.expected_config))
        shapes = tensor_shapes(expected)
        known = CheckpointSpec(
            config=expected,
            parameters=parameter_count(expected),
            shapes=shapes_digest(shapes) if shapes else None,
            has_chat_template=bool(original.template) if published else None,
        )
        return chat_spec(known, self.chat)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Estimate the size of the files."""
        return writing_cost(spec)

    def run(self, stage: StageContext) -> Checkpoint:
        """Fetch what is missing and adopt the snapshot; raises InputError without a network."""
        if self._cached() is None:
            stage.say("; ".join(f"fetching {what}" for what in self.fetches()))
        checkpoint = Checkpoint(fetch(self.repo, self.revision, _PATTERNS))
        spec = self._inspect(checkpoint)
        for notice in ignored_files(checkpoint):
            stage.warn(notice)
        stage.metric("parameters", spec.parameters or 0, main=True)
        return adopt(stage, checkpoint, self.chat)

    def look_up(self) -> list[str]:
        """Check the repository's files on the hub; raises SettingError or InputError."""
        repository = look_up_repository(self.repo, self.revision)
        weights = repository.matching(["model*.safetensors"])
        if "config.json" not in repository.sizes or not weights:
            problem = "has no config.json" if weights else "has no weights in safetensors"
            raise SettingError("repo", self.repo, f"the repository {problem}")
        if not repository.matching(["tokenizer.json", "tokenizer.model", "vocab.json"]):
            raise SettingError("repo", self.repo, "the repository has no tokenizer")
        self._compare(repository.json("config.json"))
        template = bool(repository.matching(["chat_template.jinja"])) or (
            "tokenizer_config.json" in repository.sizes
            and bool(repository.json("tokenizer_config.json").get("chat_template"))
        )
        size = sum(repository.sizes[file] for file in weights)
        chats = "a chat template" if template else "no chat template"
        return [f"{repository.summary()}: {size / 1e9:.1f} GB of weights, {chats}"]

    def rehearsal(self) -> Hub | ModelTwin:
        """Return a twin made from files in the hub's cache, else from what is known of the model.

        Raises SettingError where nothing is known, or the cache contradicts `expected_config`.
        """
        snapshot = cached_snapshot(self.repo, self.revision)
        if snapshot is not None and (snapshot / "config.json").is_file():
            self._compare(read_json(snapshot / "config.json"))
            if any((snapshot / name).is_file() for name in _VOCABULARIES):
                return twin_of_folder(self.repo, snapshot, self.chat)
        if not self.expected_config:
            problem = (
                "no twin can be made for a rehearsal: state what config.json holds, or fetch it "
                f"(hf download {self.repo} --include '*.json')"
            )
            raise SettingError("expected_config", {}, problem)
        return twin_of_repository(self.repo, self.expected_config, self.chat)

    def not_rehearsed(self) -> list[str]:
        """Return what a rehearsal with a twin does not test."""
        lines = [f"{self.repo}: whether you may fetch it, and its weights"]
        if cached_snapshot(self.repo, self.revision) is None:
            original, known = original_of(self.repo, self.expected_config)
            if not known:
                has = "has a chat template" if original.template else "has no chat template"
                lines.append(f"{self.repo}: its tokenizer, and that it {has} (both are guessed)")
        return lines

    def _cached(self) -> Checkpoint | None:
        snapshot = cached_snapshot(self.repo, self.revision)
        if snapshot is None:
            return None
        return Checkpoint(snapshot) if is_complete(snapshot) else None

    def _inspect(self, checkpoint: Checkpoint) -> CheckpointSpec:
        spec = inspect_checkpoint(checkpoint)
        self._compare(read_json(checkpoint.directory / "config.json"))
        return spec

    def _compare(self, config: dict[str, Any]) -> None:
        """Raise SettingError where config.json contradicts `expected_config`."""
        for name, expected in self.expected_config.items():
            if name in config and config[name] != expected:
                raise SettingError(
                    "expected_config",
                    {name: expected},
                    f"config.json of {self.repo} says {config[name]!r}",
                )

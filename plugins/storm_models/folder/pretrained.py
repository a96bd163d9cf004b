"""Reading a checkpoint's folder with transformers: never from the hub, and never running code.

The folder's files are checked first (`checkpoint_files`), so that no link leads out of it. Every
`from_pretrained` of the project is here: by default, transformers asks on a terminal whether it may
run a repository's code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_models.folder.files import checkpoint_files, companion_files
from storm_models.folder.generation_config import GENERATION_FILE

if TYPE_CHECKING:
    from transformers import (
        GenerationConfig,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

_FILES_ALONE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def read_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer in a folder; raises InputError where transformers cannot read it."""
    from transformers import AutoTokenizer

    companion_files(directory)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            directory, **_FILES_ALONE
        )
    except Exception as error:  # parsers of many kinds
        raise _unreadable(directory, "the tokenizer", error) from error
    return tokenizer


def read_config(directory: Path) -> PretrainedConfig:
    """Return the config in a folder; raises InputError where transformers cannot read it."""
    from transformers import AutoConfig

    companion_files(directory)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(directory, **_FILES_ALONE)
    except Exception as error:  # validators raise types of their own
        raise _unreadable(directory, "config.json", error) from error
    return config


def read_generation(directory: Path) -> GenerationConfig | None:
    """Return the generation config in a folder, None without a file; raises InputError."""
    from transformers import GenerationConfig

    if not (directory / GENERATION_FILE).is_file():
        return None
    try:
        return GenerationConfig.from_pretrained(directory, local_files_only=True)
    except Exception as error:
        raise _unreadable(directory, GENERATION_FILE, error) from error


def read_network(directory: Path, kind: type[PreTrainedModel] | None = None, **options: Any) -> Any:
    """Return what `from_pretrained` returns for the weights in a folder.

    `kind` is the class of the model, by default the one that the config names. With `state_dict`
    among `options` no file of weights is read. Raises InputError for a model that needs its
    repository's code, and otherwise what transformers raises.
    """
    from transformers import AutoModelForCausalLM

    if "state_dict" in options:
        assert kind is not None
        return kind.from_pretrained(None, **options)
    checkpoint_files(directory)
    try:
        return AutoModelForCausalLM.from_pretrained(
            directory, use_safetensors=True, **_FILES_ALONE, **options
        )
    except ValueError as error:
        if "trust_remote_code" in str(error):
            raise _unreadable(directory, "the model", error) from error
        raise


def _unreadable(directory: Path, part: str, error: Exception) -> InputError:
    if "trust_remote_code" in str(error):
        return InputError(
            f"{directory}: {part} needs the code beside the model, and such code is never run"
        )
    problem = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"{directory}: transformers cannot read {part}: {problem}")

"""Upload of a hub folder to a repository of the hub, in one commit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_export.hub.alternatives import CARD, alternatives, is_hub_folder
from storm_export.hub.exporter import LOCK, HubFolder
from storm_inference.targets.contents import what_it_holds
from storm_inference.targets.target import Target, locate, open_target

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAIN = "main"
_PART = "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?!.*(?:\.\.|--|\.git$)){_PART}/{_PART}")
"""Names that the hub accepts, by huggingface_hub's `validate_repo_id`."""
_RESULTS = ".eval_results"
_AGAIN = "push again: files that arrived are not sent again"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload of a folder to a repository."""

    target: Target
    repository: str
    """OWNER/NAME."""
    revision: str = MAIN
    """The branch, which is created if it does not exist."""
    private: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.repository):
            raise InputError(
                f"'{self.repository}' should be OWNER/NAME, each of up to 96 letters, digits, '.', "
                "'_' and '-', without '..', '--', '.git' at the end, or '.' and '-' at either end"
            )

    def files(self) -> dict[str, int]:
        """Return {name: bytes} of the files to send; raises InputError if it is no hub folder."""
        target, manifest = self.target, self.target.manifest
        if manifest is not None and manifest.artifact == HubFolder.__name__:
            files = {name: size for name, (size, _) in sorted(manifest.files.items())}
            for name, size in files.items():
                place = target.place / name
                if not place.is_file() or place.stat().st_size != size:
                    raise InputError(f"{place} is damaged (see store verify)")
            return files
        if manifest is not None or not is_hub_folder(target.place):
            raise InputError(
                f"'{target.word}' holds {what_it_holds(target)}, not a folder for the hub (a model "
                f"with its card): {alternatives(target)}"
            )
        results = sorted((target.place / _RESULTS).glob("*.yaml"))
        written = [CARD, LOCK, *(f"{_RESULTS}/{file.name}" for file in results)]
        for name in written:
            if (target.place / name).is_symlink():
                raise InputError(f"{target.place / name} is a link: replace it by a copy")
        names = [*target.checkpoint().files(), *written]
        return {name: (target.place / name).stat().st_size for name in sorted(names)}

    def send(self) -> str:
        """Upload the files and return the commit's address.

        The repository is created if necessary. Raises InputError, with nothing published, for a
        missing or invalid token, another owner's repository, an unreachable hub, or a public
        repository if a private one was requested; and where the hub does not say whether it
        published.
        """
        # Read when huggingface_hub is imported: it would send the versions of installed packages.
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token

        files = self.files()
        if constants.HF_HUB_OFFLINE:
            raise InputError("HF_HUB_OFFLINE is set: unset it to push")
        token = get_token()
        if not token:
            raise InputError("there is no token for the hub: set HF_TOKEN, or run hf auth login")
        api = HfApi(token=token)
        with _in_words(api.endpoint, self.repository):
            self._prepare(api)
            operations = [CommitOperationAdd(name, self.target.place / name) for name in files]
            message = "Upload a model made with storm-exp"
            commit: Any = api.create_commit(
                self.repository, operations, commit_message=message, revision=self.revision
            )
        return str(commit.commit_url)

    def _prepare(self, api: HfApi) -> None:
        """Create the repository and its branch if necessary, and check that it is private."""
        from huggingface_hub.errors import RepositoryNotFoundError

        api.whoami()
        try:
            info = api.model_info(self.repository)
        except RepositoryNotFoundError:
            api.create_repo(self.repository, private=self.private or None)
        else:
            if self.private and not info.private:
                raise InputError(f"{self.repository} is public, and --private was asked for")
        if self.revision != MAIN:
            api.create_branch(self.repository, branch=self.revision, exist_ok=True)


def find_upload(word: str, store: Path) -> Target:
    """Return the target of a word; raises InputError, with what can be pushed, if there is none."""
    located = locate(word, store)
    if located is None:
        raise InputError(
            f"there is no stage, key or folder '{word}' to push: {alternatives()}; keys are those "
            f"in {store}"
        )
    return open_target(word, *located)


@contextlib.contextmanager
def _in_words(endpoint: str, repository: str) -> Iterator[None]:
    """Raise InputError instead of huggingface_hub's and httpx's errors."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        _check_commit(error, endpoint, repository)
        status = error.response.status_code if error.response is not None else 0
        said = _reason(error)
        reasons = {
            401: f"{endpoint} does not accept the token (HF_TOKEN, or hf auth login)",
            403: f"the token may not write to {repository}: read-only, or not your repository",
        }
        reason = reasons.get(status, f"{endpoint} refused the upload")
        raise InputError(f"nothing was published: {reason} ({status}: {said})") from error
    except httpx.HTTPError as error:
        _check_commit(error, endpoint, repository)
        reason = f"{endpoint} cannot be reached ({str(error) or type(error).__name__})"
        raise InputError(f"nothing was published: {reason}") from error
    except (ValueError, RuntimeError) as error:
        # Invalid metadata of the card, an invalid response, or a file that did not arrive.
        cause = f" ({_reason(error.__cause__)})" if error.__cause__ else ""
        again = f"; {_AGAIN}" if isinstance(error.__cause__, httpx.HTTPError) else ""
        raise InputError(f"nothing was published: {error}{cause}{again}") from error


def _check_commit(error: Any, endpoint: str, repository: str) -> None:
    """Raise InputError if a commit was sent, and the hub did not say whether it was made.

    `error` is huggingface_hub's or httpx's, which may not know its request.
    """
    response, request = getattr(error, "response", None), getattr(error, "_request", None)
    request = request or getattr(response, "request", None)
    if request is None or "/commit/" not in request.url.path:
        return
    if response is None or response.status_code >= 500:
        raise InputError(
            f"whether {repository} was published is not known: {endpoint} broke off while it made "
            f"the commit ({_reason(error)}); {_AGAIN}"
        ) from error


def _reason(error: BaseException) -> str:
    """Return the message of the hub, or else the first line of the error."""
    message = getattr(error, "server_message", None) or str(error).strip()
    return str(message).partition("\n")[0] or type(error).__name__


def shown_size(size: float) -> str:
    """Return a number of bytes in a readable unit."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def listing(files: dict[str, int]) -> list[str]:
    """Return lines with names and sizes, and their total."""
    width = max(map(len, files))
    lines = [f"  {name.ljust(width)}  {shown_size(size)}" for name, size in files.items()]
    return [*lines, f"  {len(files)} files, {shown_size(sum(files.values()))}"]

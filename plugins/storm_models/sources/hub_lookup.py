"""Asking the hub what it has, within seconds and without fetching it."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
from typing import Any

from storm_exp import InputError

SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Repository:
    """What the hub says of a repository at one revision, which is open to this user."""

    name: str
    kind: str
    """model or dataset."""
    commit: str
    gated: bool
    sizes: dict[str, int]
    """Bytes by file; 0 where the hub does not say."""

    def matching(self, patterns: list[str]) -> list[str]:
        """Return the files that a download with these patterns would fetch."""
        return [f for f in self.sizes if any(fnmatch.fnmatch(f, p) for p in patterns)]

    def text(self, file: str) -> str:
        """Return a small file's text; raises OSError when nobody answers."""
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(self.name, file, repo_type=self.kind, revision=self.commit)
        return str(_get(url).text)

    def json(self, file: str) -> dict[str, Any]:
        """Return a JSON file's object; raises InputError for anything else."""
        try:
            content = json.loads(self.text(file))
        except ValueError as error:
            raise InputError(f"{file} of {self.name} on the hub is no JSON") from error
        if not isinstance(content, dict):
            raise InputError(f"{file} of {self.name} on the hub is no JSON object")
        return content

    def summary(self) -> str:
        """Return, for example, `model a/b at 1f2e3d4c5b6a, behind a licence that you accepted`."""
        licence = ", behind a licence that you accepted" if self.gated else ""
        return f"{self.kind} {self.name} at {self.commit[:12]}{licence}"


def look_up_repository(name: str, revision: str, kind: str = "model") -> Repository:
    """Return what the hub has under a name.

    Raises InputError for a repository or revision that is not there, or not open to this user, and
    OSError when nobody answers.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    closed = f"{kind} {name} is behind a licence: accept it on the hub, then `hf auth login`"
    try:
        info = HfApi().repo_info(
            name, revision=revision, repo_type=kind, timeout=SECONDS, files_metadata=True
        )
        gated = bool(getattr(info, "gated", False))
        if gated:
            _get(f"{constants.ENDPOINT}/api/{kind}s/{name}/auth-check")
    except GatedRepoError as error:
        raise InputError(closed) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise InputError(
            f"the hub has no {kind} {name} at {revision}, or it is closed to you"
        ) from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise InputError(closed) from error
        raise OSError(str(error).splitlines()[0]) from error
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    sizes = {file.rfilename: int(file.size or 0) for file in getattr(info, "siblings", None) or []}
    return Repository(name, kind, str(info.sha), gated, sizes)


@dataclasses.dataclass(frozen=True)
class Rows:
    """What the hub's data set viewer knows of a data set."""

    splits: dict[str, list[str]]
    """Splits by configuration."""

    def first(self, name: str, configuration: str, split: str) -> list[dict[str, Any]] | None:
        """Return the first rows of a split, None where the viewer has none of them."""
        query = {"dataset": name, "config": configuration, "split": split}
        content = _viewer("first-rows", query)
        listed = content.get("rows") if content else None
        return [entry["row"] for entry in listed] if isinstance(listed, list) else None


def look_up_rows(name: str) -> Rows | None:
    """Return what the viewer knows of a data set, None where it knows nothing."""
    content = _viewer("splits", {"dataset": name})
    if not content or not content.get("splits"):
        return None
    splits: dict[str, list[str]] = {}
    for entry in content["splits"]:
        splits.setdefault(str(entry["config"]), []).append(str(entry["split"]))
    return Rows(splits)


def _viewer(what: str, query: dict[str, str]) -> dict[str, Any] | None:
    from huggingface_hub import constants

    try:
        found = _get(f"{constants.DATASETS_SERVER_ENDPOINT}/{what}", query).json()
    except (OSError, ValueError):
        return None  # it knows some data sets only: what it does not say is not known to be wrong
    return found if isinstance(found, dict) else None


def _get(url: str, query: dict[str, str] | None = None) -> Any:
    """Return the hub's answer; raises HfHubHTTPError for a refusal and OSError for none."""
    from huggingface_hub import get_session
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    try:
        answer = get_session().get(
            url, headers=build_hf_headers(), params=query, timeout=SECONDS, follow_redirects=True
        )
        hf_raise_for_status(answer)
    except HfHubHTTPError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    return answer

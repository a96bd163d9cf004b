"""What the hub has: its answers about repositories and data sets, without fetching them."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
from typing import Any

from storm_exp import InputError

SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Repository:
    """A repository at one revision, to which this user has access."""

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
        """Return a small file's text; raises OSError without an answer."""
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(self.name, file, repo_type=self.kind, revision=self.commit)
        return str(_get(url).text)

    def json(self, file: str) -> dict[str, Any]:
        """Return the object in a JSON file; raises InputError for anything else."""
        try:
            content = json.loads(self.text(file))
        except ValueError as error:
            raise InputError(f"{file} of {self.name} on the hub is not JSON") from error
        if not isinstance(content, dict):
            raise InputError(f"{file} of {self.name} on the hub is not a JSON object")
        return content

    def summary(self) -> str:
        """Return, for example, `model a/b at 1f2e3d4c5b6a, behind a licence that you accepted`."""
        licence = ", behind a licence that you accepted" if self.gated else ""
        return f"{self.kind} {self.name} at {self.commit[:12]}{licence}"


def look_up_repository(name: str, revision: str, kind: str = "model") -> Repository:
    """Return the repository of this name and revision.

    Raises InputError for a repository or revision that does not exist or that this user has no
    access to, and OSError without an answer.
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
            f"the hub has no {kind} {name} at {revision}, or you have no access to it"
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
    """The splits and first rows of a data set, from the hub's data set viewer."""

    splits: dict[str, list[str]]
    """Splits by configuration."""

    def first(self, name: str, configuration: str, split: str) -> list[dict[str, Any]] | None:
        """Return the first rows of a split, None where the viewer has none of them."""
        query = {"dataset": name, "config": configuration, "split": split}
        content = _viewer("first-rows", query)
        listed = content.get("rows") if content else None
        return [entry["row"] for entry in listed] if isinstance(listed, list) else None


def look_up_rows(name: str) -> Rows | None:
    """Return the viewer's splits of a data set, None where it has none."""
    content = _viewer("splits", {"dataset": name})
    if not content or not content.get("splits"):
        return None
    splits: dict[str, list[str]] = {}
    for entry in content["splits"]:
        splits.setdefault(str(entry["config"]), []).append(str(entry["split"]))
    return Rows(splits)


def _viewer(endpoint: str, query: dict[str, str]) -> dict[str, Any] | None:
    from huggingface_hub import constants

    try:
        answer = _get(f"{constants.DATASETS_SERVER_ENDPOINT}/{endpoint}", query).json()
    except (OSError, ValueError):
        return None  # it covers some data sets only: no answer does not mean an error
    return answer if isinstance(answer, dict) else None


def _get(url: str, query: dict[str, str] | None = None) -> Any:
    """Return the hub's response; raises HfHubHTTPError if refused, OSError without a response."""
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

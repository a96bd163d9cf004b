"""Repositories of the Hugging Face hub and their snapshots in the hub's cache."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

from storm_exp import InputError

_SECONDS = 5.0


def cached_snapshot(repo: str, revision: str, kind: str = "model") -> Path | None:
    """Return the folder of a revision in the hub's cache, None if it was never fetched.

    Uses no network. The folder's name is the commit; it may hold only some of the files.
    """
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type=kind)
    reference = folder / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def resolve_commit(repo: str, revision: str, kind: str = "model") -> str | None:
    """Return the commit that a revision resolves to, None when the hub cannot be reached.

    The cache takes precedence over the network: a run repeats what it did before until the cache is
    updated. Raises InputError for a repository that does not exist or that this user has no access
    to.
    """
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    snapshot = cached_snapshot(repo, revision, kind)
    if snapshot is not None:
        return snapshot.name
    return _remote_commit(repo, revision, kind) if _reachable() else None


def fetch(repo: str, revision: str, patterns: list[str], kind: str = "model") -> Path:
    """Return the folder with a revision's files, downloading what the cache lacks.

    Raises InputError when files are missing and the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    known = cached_snapshot(repo, revision, kind)
    commit = known.name if known is not None else resolve_commit(repo, revision, kind)
    options: dict[str, Any] = {"repo_type": kind, "allow_patterns": patterns}
    # By name where nothing is cached yet, so that the cache records which commit it resolved to.
    options["revision"] = known.name if known is not None else revision
    try:
        folder = Path(snapshot_download(repo, local_files_only=not _reachable(), **options))
    except Exception as error:
        dataset = " --repo-type dataset" if kind == "dataset" else ""
        raise InputError(
            f"{repo} at {revision} is not in the hub's cache and cannot be fetched "
            f"({_first_line(error)}); with network access, run: "
            f"hf download {repo} --revision {revision}{dataset}"
        ) from error
    if commit is not None and folder.name != commit:
        raise InputError(
            f"{repo} at {revision} changed to another commit during the download; run again"
        )
    return folder


@functools.cache
def _remote_commit(repo: str, revision: str, kind: str) -> str | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().repo_info(repo, revision=revision, repo_type=kind, timeout=_SECONDS)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise InputError(
            f"the hub has no {kind} {repo} at {revision}, or you have no access to it (accept its "
            f"licence, then `hf auth login`): {_first_line(error)}"
        ) from error
    except Exception:  # no network is a state of the machine, not a mistake
        return None
    return str(info.sha)


@functools.cache
def _reachable() -> bool:
    """Return whether the hub answers, asked once per process, so that a plan waits once at most."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    import urllib.error
    import urllib.request

    from huggingface_hub.constants import ENDPOINT

    try:
        request = urllib.request.Request(ENDPOINT, method="HEAD")
        urllib.request.urlopen(request, timeout=_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)

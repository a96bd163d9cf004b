"""Data of nltk that tasks need, downloaded before a model is loaded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable

from storm_exp import InputError


def fetch(resources: Iterable[str]) -> None:
    """Download resources such as tokenizers/punkt_tab; raises InputError where that fails.

    The tasks' code would download them too, but ignores errors and fails at the first question that
    needs them.
    """
    for resource in resources:
        import nltk

        name = resource.rpartition("/")[2]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            nltk.download(name, quiet=True)
        try:
            nltk.data.find(resource)
        except LookupError as error:
            raise InputError(
                f"nltk's {name} is not on this machine and cannot be fetched; with network access, "
                f"run: python -m nltk.downloader {name} (and copy ~/nltk_data here)"
            ) from error

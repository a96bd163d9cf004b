"""Data of nltk that tasks look up, fetched before a model is loaded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable

from storm_exp import InputError


def fetch(resources: Iterable[str]) -> None:
    """Fetch resources such as tokenizers/punkt_tab; raises InputError for one that cannot be had.

    The tasks' code would fetch them too, but takes no for an answer, and fails at the first
    question that needs them.
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
                f"nltk's {name} is not on this machine and cannot be fetched; where there is a "
                f"network: python -m nltk.downloader {name} (and copy ~/nltk_data here)"
            ) from error

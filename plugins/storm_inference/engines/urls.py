"""Addresses of running servers."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from storm_exp import SettingError


def root_of(url: str) -> str:
    """Return a server's address without the slash or `/v1` at its end."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def check_urls(urls: Sequence[str], setting: str) -> None:
    """Raise SettingError, naming `setting`, for no address, an invalid one, or one given twice."""
    if not urls:
        raise SettingError(setting, [], "must list a server: inference.urls=[http://HOST:PORT]")
    for url in urls:
        if not _is_address(url):
            raise SettingError(setting, url, "should be the address of a server: http://HOST:PORT")
    roots = [root_of(url) for url in urls]
    for url, root in zip(urls, roots, strict=True):
        if roots.count(root) > 1:
            problem = "is listed twice: it would get twice as many requests (inference.requests)"
            raise SettingError(setting, url, problem)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.port is None or parts.port > 0
    except ValueError:  # a port out of range, or an unclosed bracket
        return False
    further = parts.query or parts.fragment or any(letter.isspace() for letter in url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and known and not further

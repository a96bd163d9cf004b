"""Rendering HTML templates, with escaping, and the one frame that all pages have.

A page is one file: its style and its script stand in it, its policy lets no other script run and
nothing be asked for over a network.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

_HERE = Path(__file__).parent
_STYLES = ("theme", "layout", "content", "chart")
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, **values: Any) -> Markup:
    """Return a template filled with values."""
    return Markup(_ENVIRONMENT.get_template(name).render(values))


def write_page_file(file: Path, template: str, **values: Any) -> None:
    """Write a page whose template extends `page.html`; raises OSError."""
    html = render(template, **_frame(), **values)
    file.write_text(html, encoding="utf-8", errors="backslashreplace")


def style_sheet(name: str) -> Markup:
    """Return a style sheet of the pages: theme, layout, content or chart."""
    return Markup((_HERE / f"assets/{name}.css").read_text(encoding="utf-8"))


@functools.cache
def _frame() -> dict[str, Markup]:
    script = (_HERE / "assets/page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return {
        "policy": Markup(policy),
        "script": Markup(script),
        "style": Markup("").join(map(style_sheet, _STYLES)),
    }

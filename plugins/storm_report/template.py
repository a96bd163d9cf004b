"""Rendering the report's HTML templates, with escaping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

PAGE_STYLE = Path(__file__).parent / "page.css"
"""The style of tables, figures and examples."""

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, **values: Any) -> Markup:
    """Return a template filled with values."""
    return Markup(_ENVIRONMENT.get_template(name).render(values))

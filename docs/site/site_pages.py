"""Sphinx extension: writes the generated pages, and gives the front page the navigation."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "reference"
ELSEWHERE = re.compile(
    r'<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)="(?:https?:)?//[^>]*>'
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect what this adds to a build."""
    app.connect("builder-inited", write_reference)
    app.connect("source-read", add_navigation)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_reference(app: Sphinx) -> None:
    """Write the pages of docs/reference anew."""
    from api_pages import api_pages
    from settings_pages import settings_pages
    from verbs_page import recipes_page, verbs_page

    pages = {f"{name}.md": text for name, text in settings_pages().items()}
    pages |= {f"{name}.rst": text for name, text in api_pages().items()}
    pages |= {"verbs.md": verbs_page(), "recipes.md": recipes_page()}
    shutil.rmtree(REFERENCE, ignore_errors=True)
    for name, text in pages.items():
        file = REFERENCE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the site's navigation to its front page, the README."""
    if page == app.config.root_doc:
        source[0] += (HERE / "navigation.md").read_text(encoding="utf-8")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Complete the site; raises ExtensionError for a page that would load something from elsewhere.

    The README is its index, and the sources of pages lie beside them, where llms.txt has its links.
    """
    if error:
        return
    out, root = Path(app.outdir), Path(app.srcdir)
    shutil.copyfile(out / f"{app.config.root_doc}.html", out / "index.html")
    for name in sorted(app.env.found_docs):
        source = Path(app.env.doc2path(name))
        if source.suffix == ".md" and not source.is_relative_to(REFERENCE):
            shutil.copyfile(source, out / source.relative_to(root))
    for page in out.rglob("*.html"):
        if found := ELSEWHERE.search(page.read_text(encoding="utf-8")):
            raise ExtensionError(f"{page.relative_to(out)} loads from elsewhere: {found[0]}")

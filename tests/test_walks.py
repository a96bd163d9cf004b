"""The walks of docs/architecture.md name files that are there, and are short."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_walks_name_files_that_are_there():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    section = text.split("## Three walks")[1].split("\n## ")[0]
    lengths = [0]
    for number, file in re.findall(r"^(\d+)\. `([a-z_/]+\.py)`", section, re.MULTILINE):
        lengths += [0] * (number == "1")
        lengths[-1] += 1
        assert any((home / file).is_file() for home in (ROOT, ROOT / "plugins")), file
    assert len(lengths) == 4
    assert lengths[1] <= 12 and lengths[2] <= 12 and lengths[3] <= 10

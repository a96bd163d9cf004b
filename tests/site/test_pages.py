"""The documentation site: what `make site` builds it from. Links and anchors are checked there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api_pages import HOOKS, SHARED, api_pages, names_used_of
from settings_pages import settings_pages
from storm_catalogue.option import components, recipes, section_classes, sweeps
from storm_catalogue.setting import settings_of
from storm_exp import load_plugins
from storm_exp._run.verbs import VERBS
from verbs_page import recipes_page, verbs_page

ROOT = Path(__file__).parents[2]
NAVIGATION = (ROOT / "docs/site/navigation.md").read_text(encoding="utf-8")
PAGES = sorted(
    str(file.relative_to(ROOT))
    for file in (ROOT / "docs").rglob("*.md")
    if not file.is_relative_to(ROOT / "docs/site") and "reference" not in file.parts
)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return settings_pages()


def test_every_page_is_in_the_navigation_and_in_llms_txt() -> None:
    named = re.findall(r"^(?:.* <)?([\w/.-]+?)>?$", NAVIGATION, re.M)
    assert [page for page in PAGES if page.removesuffix(".md") not in named] == []
    llms = (ROOT / "llms.txt").read_text(encoding="utf-8")
    assert [page for page in PAGES if f"]({page})" not in llms] == []


def test_every_setting_has_an_entry_on_the_page_of_its_menu(pages: dict[str, str]) -> None:
    for option in components():
        page = pages[f"settings/{option.groups[0]}"]
        for setting in settings_of(load_plugins().component(option.name).cls):
            assert f"confval}} {option.name}.{setting.path}\n" in page
        for menu in option.groups:
            assert f"## {option.name}\n" in pages[f"settings/{menu}"]
    for name, cls in section_classes().items():
        for setting in settings_of(cls):
            assert f"confval}} {name}.{setting.path}\n" in pages["settings/sections"]


def test_an_entry_says_type_bounds_choices_unit_default_and_meaning(pages: dict[str, str]) -> None:
    found = re.search(r"confval\} slerp\.t\n\n(.*)\n\n(.*)\n", pages["settings/merger"])
    assert found
    assert found[1] == "`float`; at least 0 and at most 1; default `0.5`"
    assert found[2].startswith("Weight of the second checkpoint")
    entry = "chat_jsonl.limit\n\n`int | None`; rows; at least 1; default `null`"
    assert entry in pages["settings/dataset"]
    assert "to be given" in pages["settings/base_model"]
    assert (
        "; one of `none`, `positions`, `vocabulary`; default `none`" in pages["settings/finetuner"]
    )


def test_all_verbs_recipes_and_sweeps_are_listed() -> None:
    verbs, listed = verbs_page(), recipes_page()
    assert [
        v for v in {**VERBS, **load_plugins().verbs(VERBS)[0]} if f"\n## {v}\n" not in verbs
    ] == []
    assert [o.words for o in [*recipes([]), *sweeps([])] if f"| `{o.words}` |" not in listed] == []


def test_what_plugins_use_of_a_shared_plugin_is_on_its_page() -> None:
    pages = api_pages()
    for plugin in SHARED:
        for module, names in names_used_of(plugin).items():
            members = ", ".join(sorted(names))
            assert f"automodule:: {module}\n   :members: {members}\n" in pages[f"api/{plugin}"]
    assert "Checkpoint" in names_used_of("storm_models")["storm_models.checkpoint.checkpoint"]


def test_every_hook_is_on_the_page_of_hooks() -> None:
    page = api_pages()["api/hooks"]
    for module in HOOKS:
        source = (ROOT / "storm_exp" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        for hook in re.findall(r"^def (storm_\w+)", source, re.M):
            assert f".. autofunction:: storm_exp.{module}.{hook}" in page

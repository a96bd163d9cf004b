"""The commands of docs/store-and-runs.md do what the page says, on models."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from end_to_end.workplace import Workplace
from storm_exp import Store

PAGE = (Path(__file__).parents[2] / "docs/store-and-runs.md").read_text(encoding="utf-8")
COMPRESSOR = "fp8_dynamic"
COMMANDS = re.findall(r"^    storm-exp (.*)$", PAGE, re.M)


def test_the_commands_of_the_page_run(warm: Workplace) -> None:
    """One after the other; `storm` stands for minutes, `smoke` is the same graph in seconds."""
    store = Store(warm.folder / "outputs/store")
    keys = {manifest.component: manifest.key for manifest in store.manifests()}
    said: dict[str, str] = {}
    for command in COMMANDS:
        words = ["recipe=smoke" if w == "recipe=storm" else w for w in shlex.split(command)]
        words = [keys[COMPRESSOR][:12] if word == "KEY" else word for word in words]
        said[command] = warm.run(*words, *(["targets=[merger]"] if "-m" in words else []))
    assert "made 0 artifacts" not in said[COMMANDS[0]]
    assert "nothing to make" in said[COMMANDS[0]]
    assert "baseline" in said["runs ls paper"]
    assert "outputs/latest/merger" in said["runs show baseline"]
    sweep = next(text for command, text in said.items() if command.startswith("-m"))
    assert "outputs/latest/cells/<cell>/<stage>" in sweep
    assert "model.safetensors" not in said["store gc --to 20GB"]
    assert said["store unpin latest"].startswith("unpinned ")


def test_a_pinned_merge_keeps_its_parents_and_its_weights(warm: Workplace) -> None:
    store = Store(warm.folder / "outputs/store")
    warm.run("recipe=smoke")
    keys = {m.component: m.key for m in store.manifests()}
    merger = store.find(keys["slerp"]).manifest
    assert merger is not None
    assert len(merger.references) == 2
    warm.run("store", "pin", merger.key[:12])
    warm.run("store", "gc", "--to", "0", code=1)
    assert store.find(keys[COMPRESSOR]).evicted is not None
    for key in (merger.key, *merger.references, keys["written"]):
        assert store.find(key).manifest is not None
    assert (warm.folder / "outputs/latest/merger/model.safetensors").is_file()
    warm.run("store", "unpin", merger.key[:12])
    warm.run("store", "rm", keys["written"][:12])
    assert store.find(keys["written"]).evicted is not None
    assert "made 1 artifact" in warm.run("recipe=smoke", "targets=[compressor]")
    for component in ("written", COMPRESSOR):
        assert store.verify(keys[component]) == ""
    assert "not what was evicted" not in (warm.folder / "outputs/latest/log.txt").read_text()

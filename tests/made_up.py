"""Records of runs that never were, and their reports read back."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from storm_exp._contract.plugins import Plugins, load_plugins
from storm_exp._run.report import plugin_sections
from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.page import write_page

NAUGHTY = "<script>alert('x')</script>"


class Page(HTMLParser):
    """The tags, attributes and text that a page shows in a wide window, and its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("meta", "br", "link", "img", "input"):
            self._open.append((tag, values.get("class") or ""))
        if self._shows():
            self.tags.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "script":
            self.scripts.append(data)
        elif self._shows():
            self.words.append(data)

    def _shows(self) -> bool:
        return not any("at-narrow" in class_ for _, class_ in self._open)


Files = dict[str, Any]


class Maker:
    """Makes records of stages whose payloads hold small files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(
        self, stage: str, artifact: str, files: Files | None = None, **more: Any
    ) -> StageRecord:
        key = hashlib.sha256(repr((stage, files, sorted(more.items()))).encode()).hexdigest()
        payload = self.folder / "store" / key
        payload.mkdir(parents=True, exist_ok=True)
        for name, content in (files or {}).items():
            (payload / name).write_text(json.dumps(content), encoding="utf-8")
        usual = {"element": "", "component": "some", "inputs": {}, "status": "made", "settings": {}}
        values = {**usual, "spec": {}, "directory": str(payload), "seconds": 1.5, **more}
        return StageRecord(stage=stage, artifact=artifact, key=key, **values)

    def run(self, *cells: CellRecord, **more: Any) -> RunRecord:
        folder = self.folder / "run"
        folder.mkdir(exist_ok=True)
        usual: Files = {"recipe": "storm", "scale": "miniature", "when": "2026-01-02T03:04:05+0000"}
        usual |= {"argv": ["storm-exp", "recipe=storm"], "seconds": 3.0, "status": "finished"}
        return RunRecord(
            directory=folder, cells=list(cells), **{**usual, "environment": {}, **more}
        )


def cell(*stages: StageRecord, overrides: tuple[str, ...] = (), **config: Any) -> CellRecord:
    return CellRecord(name="", overrides=list(overrides), config=config, stages=list(stages))


def show(record: RunRecord, plugins: Plugins | None = None) -> Page:
    """Write a record's report and read it back."""
    file = write_page(record, plugin_sections(record, plugins or load_plugins()))
    return Page(file.read_text(encoding="utf-8"))


def seeds_over_models(make: Maker, seeds: int = 3) -> RunRecord:
    """Return a sweep over three sizes of a trained and evaluated model, with several seeds."""
    cells = []
    for size, score, seconds in ((200_000, 0.5, 20.0), (300_000, 0.7, 90.0), (400_000, 0.6, 50.0)):
        for seed in range(seeds):
            steps = [{"step": n, "loss": 3 / n + seed / 20, "tokens": 70} for n in range(1, 200)]
            log = {"objective": "sft", "steps": steps, "trainable": [], "rows": {}}
            log["validation"] = [{"step": n, "loss": 2 / n + seed / 90} for n in (1, 100, 199)]
            model = make.stage(
                "finetuner",
                "Checkpoint",
                {"training.json": log},
                inputs={"model": "given"},
                seconds=seconds,
                spec={"parameters": size},
                settings={"size": size, "seed": seed},
                shown_as="model",
            )
            evaluated = make.stage(
                "evaluator",
                "Evaluation",
                inputs={"model": model.key},
                element="finetuner",
                metrics={"mean_score": score + seed / 50},
                main_metric="mean_score",
                measured_on={"mean_score": "rows"},
            )
            words = ("recipe=storm", f"finetuner.size={size}", f"seed={seed}")
            cells.append(cell(model, evaluated, overrides=words))
    return make.run(*cells)

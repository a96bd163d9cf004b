"""What the report tells of questions that rows hold, with texts of others escaped."""

from __future__ import annotations

import json

from storm_data.dataset import Dataset
from storm_data.decontamination.report import contamination
from storm_data.decontaminators.ngrams import Ngrams
from storm_data.questions.questions import Question, Questions
from storm_data.rows.arrow_schema import document_schema
from storm_exp.testing import make_stage, run_component

ASKED = "Is <b>this</b> the longest <script>alert(1)</script> question of all that were asked?"


def test_the_section_has_hits_by_task_and_form_and_real_examples(tmp_path):
    data, asked = Dataset(tmp_path / "data"), Questions(tmp_path / "questions")
    for artifact in (data, asked):
        artifact.directory.mkdir()
    texts = [ASKED, ASKED.upper(), "Something else"]
    rows = [{"id": str(n), "text": text, "source": "s"} for n, text in enumerate(texts)]
    data.write("train", rows, document_schema())
    asked.write([Question("q", "<task>", ASKED), Question("short", "<task>", "Why?")])
    made = run_component(Ngrams(), make_stage(tmp_path), data, [asked])
    summary = json.loads((made.directory / "decontamination.json").read_text(encoding="utf-8"))
    html = contamination(summary, made.directory)
    assert "2 of 3 rows hold a question of an evaluation, and were removed" in html
    assert "verbatim" in html and "with other case or punctuation" in html
    assert "&lt;task&gt;" in html and "&lt;script&gt;alert(1)" in html
    assert "<script>" not in html and "<b>" not in html and "<task>" not in html
    assert "questions with fewer than n words" in html and "short" in html

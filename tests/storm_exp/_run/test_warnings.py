"""What a stage warns of stays with its artifact, and stands where a run says that it finished."""

from __future__ import annotations

import json

from storm_exp import StageContext
from storm_exp._run.record import RunRecord
from storm_exp.testing import make_stage

RECIPE = ("recipe=sum", "total=plans_otherwise")
WARNED = (
    "total: value was to be 14.0 and is 28.0, which is a fault of the component 'plans_otherwise'"
)


def test_a_run_ends_with_what_its_stages_warned_of_and_so_does_one_that_makes_nothing(
    storm, tmp_path, record
):
    for outcome in ("made 4 artifacts", "nothing to make"):
        said = storm(*RECIPE)
        before, _, after = said.out.partition(f"warning: {WARNED}\n")
        assert before and after.startswith(outcome)
        assert record().warnings() == [WARNED]
        stages = json.loads((record().directory / "run.json").read_text())["cells"][0]["stages"]
        assert [stage["warnings"] for stage in stages if stage["warnings"]] == [
            [WARNED.removeprefix("total: ")]
        ]
        page = (record().directory / "report.html").read_text()
        facts, _, rest = page.partition("</header>")
        assert "finished" in facts and ">1 warning<" in facts
        assert rest.index("was to be 14.0 and is 28.0") < rest.index("<section")


def test_a_run_without_warnings_shows_none(storm, record):
    said = storm("recipe=sum")
    assert "warning" not in said.out
    assert "warning" not in (record().directory / "report.html").read_text()


def test_a_sweep_says_once_what_all_of_its_cells_share(storm, record):
    said = storm("-m", *RECIPE, "seed=1,2")
    assert said.out.count(WARNED) == 1
    assert len(record().cells) == 2


def test_a_run_recorded_before_there_were_warnings_is_read(storm, record):
    storm("recipe=sum")
    file = record().directory / "run.json"
    values = json.loads(file.read_text())
    for stage in values["cells"][0]["stages"]:
        del stage["warnings"]
    file.write_text(json.dumps(values))
    assert RunRecord.read(file.parent).warnings() == []


def test_what_a_worker_warns_of_is_its_stages(tmp_path, capsys):
    worker, stage = make_stage(tmp_path / "a"), make_stage(tmp_path / "b")
    worker.warn("the judge is unsure")
    stage.take_over(json.loads(json.dumps(worker.reported())))
    assert stage.warnings == ["the judge is unsure"]
    assert "stage: the judge is unsure" in capsys.readouterr().err
    other = StageContext("stage", tmp_path, tmp_path, rank=1, world=2)
    other.warn("the judge is unsure")
    assert capsys.readouterr().err == ""

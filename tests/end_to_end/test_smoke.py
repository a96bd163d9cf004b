"""Storm's graph, run cold and again, from a checkout and from a wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace

STAGES = {
    "base_model",
    "dataset",
    "judge",
    "curator",
    "scanner",
    "tokens",
    "finetuner",
    "partner",
    "merger",
    "compressor",
    "evaluator",
    "comparison",
}
ROOT = Path(__file__).parents[2]


def test_a_cold_run_makes_every_stage_and_reports(smoked: Workplace) -> None:
    output = (smoked.folder / "output.txt").read_text(encoding="utf-8")
    assert "recipe smoke, miniature" in output
    assert "outputs/latest/merger" in output
    assert {stage["stage"] for stage in smoked.stages()} == STAGES
    report = (smoked.folder / "outputs/latest/report.html").read_text(encoding="utf-8")
    for stage in STAGES:
        assert stage in report


def test_the_report_marks_the_family_that_no_rating_text_shows(smoked: Workplace) -> None:
    report = (smoked.folder / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"(\w+) \(not in the rating text\)", report)) == {"echo"}


def test_a_second_run_makes_nothing_says_so_and_imports_no_torch(warm: Workplace) -> None:
    before = warm.inodes()
    output = warm.run("recipe=smoke", PYTHONPROFILEIMPORTTIME="1")
    assert "nothing to make" in output
    assert warm.made() == {}
    assert warm.inodes() == before
    imported = {line.rpartition("|")[2].strip() for line in output.splitlines()}
    assert "hydra" in imported
    # The report reads records of questions, which are Parquet: pyarrow and numpy, and no more.
    assert not imported & {"torch", "scipy", "scipy.stats", "transformers", "lightning"}
    # What verbs alone need is not imported for a run.
    assert not imported & {"storm_evaluation.reproduction.reproduction", "urllib.request"}


@pytest.mark.slow
def test_a_wheel_runs_smoke_in_another_folder_to_the_same_bits(
    smoked: Workplace, place: Workplace, tmp_path: Path
) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*build, "-w", str(wheels), str(ROOT)], check=True)
    (wheel,) = wheels.glob("storm_exp-*.whl")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True)
    places = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    where = subprocess.run(
        [sys.executable, "-c", "import storm_exp, storm_training; print(storm_exp.__file__)"],
        env={**os.environ, "PYTHONPATH": places},
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
    place.run("recipe=smoke", PYTHONPATH=places)
    assert set(place.made()) == STAGES
    assert place.digests() == smoked.digests()


@pytest.mark.slow
def test_a_sweep_over_a_store_with_one_run_makes_only_what_differs(warm: Workplace) -> None:
    cells = ["curator.min_education=2,3,4", "merger.t=0.25,0.5,0.75", "targets=[merger]"]
    plan = warm.run("plan", "-m", "recipe=smoke", *cells)
    assert "9 cells" in plan
    warm.run("-m", "recipe=smoke", *cells)
    assert warm.made() == {"curator": 2, "tokens": 2, "finetuner": 2, "merger": 8}
    table = (warm.folder / "outputs/latest/sweep.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 10
    assert table[0].startswith("curator.min_education,merger.t,")

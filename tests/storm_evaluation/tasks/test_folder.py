from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from storm_evaluation.evaluation import EvaluationSpec
from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.tasks.folder import TaskFolder
from storm_evaluation.tasks.settings import ByTask
from storm_evaluation.tasks.tree import leaves
from storm_exp import InputError, SettingError
from storm_models.checkpoint.spec import CheckpointSpec


class Digests:
    def digest(self, file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()


def test_tasks_groups_and_tags_are_found_without_running_their_functions(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.yaml").write_text("task: a\ntag: [quick]\nf: !function no.where\n")
    (tmp_path / "g.yaml").write_text("group: g\ntask: [a]\n")
    assert TaskFolder(str(tmp_path)).names() == ["a", "g", "quick"]


def test_an_unknown_task_is_refused_at_plan_time_with_the_nearest_name(task_folder: Path) -> None:
    with pytest.raises(SettingError, match="did you mean 'choose'"):
        LmEval(tasks=["chose"], task_folder=str(task_folder)).plan_spec(CheckpointSpec())


def test_known_tasks_forecast_their_names(task_folder: Path) -> None:
    spec = LmEval(tasks=["choose", "write"], task_folder=str(task_folder)).plan_spec(
        CheckpointSpec(has_chat_template=True)
    )
    assert spec == EvaluationSpec(tasks=["choose", "write"])
    assert spec.summary() == "2 tasks"


def test_a_package_folder_is_found_without_importing_the_package() -> None:
    sys.modules.pop("this", None)
    folder = TaskFolder("pkg://storm_tinyworld/tasks")
    assert folder.directory.parts[-2:] == ("storm_tinyworld", "tasks")
    with pytest.raises(SettingError, match="no package 'storm_nowhere'"):
        TaskFolder("pkg://storm_nowhere/tasks")


def test_a_missing_folder_and_a_broken_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no folder"):
        TaskFolder(str(tmp_path / "absent"))
    (tmp_path / "bad.yaml").write_text("task: [")
    with pytest.raises(InputError, match=r"bad\.yaml"):
        TaskFolder(str(tmp_path)).names()


def test_the_fingerprint_follows_every_file_but_caches(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("task: a\n")
    (tmp_path / "a.jsonl").write_text("{}\n")
    component = LmEval(tasks=["a"], task_folder=str(tmp_path))
    before = component.fingerprint(Digests())
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("")
    assert component.fingerprint(Digests()) == before
    (tmp_path / "a.jsonl").write_text('{"changed": 1}\n')
    after = component.fingerprint(Digests())
    assert after != before
    assert set(after) == {"a.yaml", "a.jsonl"}, "relative names: the same key on every machine"


def test_the_harness_version_is_in_the_key_only_for_its_own_tasks(task_folder: Path) -> None:
    assert set(LmEval(tasks=["arc_challenge"]).fingerprint(Digests())) == {"lm_eval"}
    own = LmEval(tasks=["choose"], task_folder=str(task_folder)).fingerprint(Digests())
    assert "lm_eval" not in own


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"dtype": "int4"}, "dtype"),
        ({"limit": 0}, "limit"),
        ({"tasks": ["a", "a"]}, "listed twice"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"by_task": ByTask(num_fewshot={"a": -1})}, "by_task.num_fewshot.a"),
        ({"by_task": ByTask(batch_size={"a": 0})}, "by_task.batch_size.a"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        LmEval(**{"tasks": ["a"], **settings})


def test_a_model_that_cannot_be_asked_is_refused(task_folder: Path) -> None:
    component = LmEval(tasks=["choose"], task_folder=str(task_folder), max_length=512)
    with pytest.raises(SettingError, match="no chat template"):
        component.plan_spec(CheckpointSpec(has_chat_template=False))
    with pytest.raises(SettingError, match="256 positions"):
        component.plan_spec(CheckpointSpec(config={"max_position_embeddings": 256}))
    with pytest.raises(SettingError, match="at least one task"):
        LmEval().plan_spec(CheckpointSpec())


def test_declaring_the_components_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, storm_evaluation; storm_evaluation.storm_components();"
        "print([m for m in ('torch', 'numpy', 'pyarrow', 'lm_eval', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_is_read_once_until_a_file_changes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: _common\ntask: a\n")
    (tmp_path / "_common").write_text("num_fewshot: 1\n")
    folder = TaskFolder(str(tmp_path))
    first = folder.index()
    assert folder.index() is first
    assert leaves(first, ["a"])[0].own_shots() == 1
    (tmp_path / "_common").write_text("num_fewshot: 22\n")
    assert leaves(folder.index(), ["a"])[0].own_shots() == 22

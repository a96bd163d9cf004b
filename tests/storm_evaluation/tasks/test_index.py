"""Names, groups and packages of tasks, read without the harness and compared with it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.tasks import index
from storm_evaluation.tasks.index import TaskIndex, harness_folder
from storm_evaluation.tasks.packages import needs
from storm_evaluation.tasks.settings import ByTask
from storm_evaluation.tasks.tree import definitions, leaves
from storm_exp import InputError, SettingError, StormError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec

FOLDERS = ("leaderboard", "mmlu", "agieval", "bbh", "hendrycks_ethics", "acpbench", "arc", "glue")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_name_is_that_of_the_harness(folder: str) -> None:
    from lm_eval.tasks._index import TaskIndex as HarnessIndex

    root = harness_folder() / folder
    theirs = HarnessIndex.build([root])
    ours = TaskIndex.of_folder(root).entries
    kinds = {"TASK": "task", "PY_TASK": "task", "GROUP": "group", "TAG": "tag"}
    assert {n: kinds[e.kind.name] for n, e in theirs.items()} == {
        n: e.kind for n, e in ours.items()
    }
    for name, entry in theirs.items():
        if entry.yaml_path:
            assert root / ours[name].file == entry.yaml_path
        else:
            assert ours[name].members == tuple(sorted(entry.tags))


def test_a_group_has_the_tasks_that_the_harness_puts_in_it() -> None:
    index = TaskIndex.of_harness(("mmlu", "hendrycks_ethics"))
    mmlu = leaves(index, ["mmlu"])
    assert len(mmlu) == 57
    anatomy = next(leaf for leaf in mmlu if leaf.name == "mmlu_anatomy")
    assert anatomy.names == ("mmlu_anatomy", "mmlu_stem_tasks", "mmlu_stem", "mmlu")
    ethics = leaves(index, ["hendrycks_ethics"])
    assert {leaf.asked for leaf in ethics} == {"hendrycks_ethics"}
    assert len(ethics) == 5
    assert {file.name for file in definitions(index, ["hendrycks_ethics"])} >= {"justice.yaml"}


def test_overrides_of_a_group_reach_its_tasks(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("task: a\nnum_fewshot: 1\n")
    (tmp_path / "g.yaml").write_text(
        "group: g\ntask:\n  - a\n  - {task: b, num_fewshot: 4}\n"
        "  - {group: inner, task: [{task: a2, doc_to_text: x}]}\nnum_fewshot: 2\n"
    )
    found = leaves(TaskIndex.of_folder(tmp_path), ["g"])
    assert [(leaf.name, leaf.own_shots()) for leaf in found] == [
        ("a", 2),
        ("g::b", 4),
        ("g::inner::a2", 2),
    ]


def test_a_group_that_contains_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("group: g\ntask: [h]\n")
    (tmp_path / "h.yaml").write_text("group: h\ntask: [g]\n")
    with pytest.raises(StormError, match="contains itself"):
        leaves(TaskIndex.of_folder(tmp_path), ["g"])


def test_a_task_of_the_harness_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingError, match="did you mean 'hellaswag'"):
        LmEval(tasks=["helaswag"]).plan_spec(CheckpointSpec())


def test_a_task_within_a_group_and_beside_it_is_refused() -> None:
    with pytest.raises(SettingError, match="'mmlu_anatomy', which is named already"):
        LmEval(tasks=["mmlu_anatomy", "mmlu"]).plan_spec(CheckpointSpec())


def test_a_cached_index_spares_reading_and_is_made_again_when_a_name_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    index._cached_index.cache_clear()
    full = TaskIndex.of_harness()
    (kept,) = tmp_path.rglob("*.json")
    kept.write_text('{"arc_easy": ["task", "arc/arc_easy.yaml", []]}')
    index._cached_index.cache_clear()
    start = time.process_time()
    assert list(TaskIndex.of_harness(("arc_easy",)).entries) == ["arc_easy"]
    assert time.process_time() - start < 0.2
    assert TaskIndex.of_harness(("arc_easy", "mmlu")).entries == full.entries
    kept.write_text("{broken")
    index._cached_index.cache_clear()
    assert TaskIndex.of_harness().entries == full.entries
    index._cached_index.cache_clear()


def test_looking_at_the_harness_imports_neither_it_nor_torch() -> None:
    code = (
        "import sys\n"
        "from storm_evaluation.harness.lm_eval import LmEval\n"
        "from storm_models.checkpoint.checkpoint import Checkpoint, CheckpointSpec\n"
        "LmEval(tasks=['mmlu', 'leaderboard_math_hard']).plan_spec(CheckpointSpec())\n"
        "print([m for m in ('torch', 'lm_eval', 'datasets', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def packages(name: str) -> set[str]:
    index = TaskIndex.of_harness((name,))
    return set(needs(f for leaf in leaves(index, [name]) for f in leaf.functions()).packages)


def test_packages_of_tasks_are_read_off_their_code() -> None:
    assert {"langdetect", "immutabledict", "nltk"} <= packages("leaderboard_ifeval")
    assert {"math_verify", "sympy"} <= packages("leaderboard_math_hard")
    assert packages("leaderboard_gpqa") == set()


def test_a_package_that_is_missing_is_named_at_plan_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("task: a\nprocess_results: !function score.it\n")
    (tmp_path / "score.py").write_text(
        "import json\nfrom other import x\n"
        "try:\n    import spared\nexcept ImportError:\n    spared = None\n"
        "try:\n    import needed_one\nexcept ImportError as e:\n    raise e\n"
        "def it(doc, results):\n    return {}\n"
    )
    evaluator = LmEval(tasks=["a"], task_folder=str(tmp_path))
    with pytest.raises(SettingError, match=r"needed_one is missing; the package other is missing"):
        evaluator.plan_spec(CheckpointSpec())


def test_a_version_that_a_task_asserts_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"antlr4-python3-runtime 4\.11, and 4\.9\.3"):
        LmEval(tasks=["minerva_math"]).plan_spec(CheckpointSpec())


def test_math_is_scored_rightly_with_the_antlr_that_omegaconf_needs() -> None:
    from lm_eval.tasks.leaderboard.math import utils

    def exact(solution: str, answer: str) -> int:
        doc = {"solution": solution, "answer": utils.remove_boxed(solution)}
        return utils.process_results(doc, [f"The final answer is ${answer}$."])["exact_match"]

    assert exact(r"so $\boxed{\frac{1}{2}}$", "0.5") == 1
    assert exact(r"so $\boxed{2\sqrt{3}}$", r"\sqrt{12}") == 1
    assert exact(r"so $\boxed{x^2+2x+1}$", "(x+1)^2") == 1
    assert exact(r"so $\boxed{3}$", "4") == 0


def test_a_metric_that_would_count_right_answers_as_wrong_is_refused() -> None:
    evaluator = LmEval(
        tasks=["leaderboard_math_hard"],
        by_task=ByTask(metric={"leaderboard_math_hard": "exact_match_original"}),
    )
    with pytest.raises(StormError, match="would count right answers as wrong"):
        evaluator.plan_spec(CheckpointSpec())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tasks": ["humaneval"]}, "runs a model's code"),
        (
            {
                "tasks": ["leaderboard_ifeval"],
                "metric": {"leaderboard_ifeval": "inst_level_strict_acc"},
            },
            "is not a mean over documents",
        ),
        ({"tasks": ["arc_easy"], "metric": {"arc_easy": "f1"}}, "has no metric 'f1'"),
        ({"tasks": ["truthfulqa_mc2"], "num_fewshot": {"truthfulqa_mc2": 5}}, "adds no others"),
        ({"tasks": ["glue"]}, "set one metric for 'glue'|not a mean over documents"),
    ],
)
def test_what_the_harness_would_refuse_or_leave_out_is_refused_at_plan_time(
    settings: dict, problem: str
) -> None:
    tasks = settings.pop("tasks")
    with pytest.raises(SettingError, match=problem):
        LmEval(tasks=tasks, by_task=ByTask(**settings)).plan_spec(CheckpointSpec())


def test_answers_that_leave_no_room_for_a_question_are_refused() -> None:
    evaluator = LmEval(tasks=["leaderboard_ifeval"], apply_chat_template=False)
    evaluator.plan_spec(CheckpointSpec(config={"max_position_embeddings": 2048}))
    with pytest.raises(
        SettingError, match="1280 tokens, but prompt and answer together can have 1024"
    ):
        evaluator.plan_spec(CheckpointSpec(config={"max_position_embeddings": 1024}))


def test_the_harness_is_told_of_the_tasks_that_are_asked_alone() -> None:
    from lm_eval.tasks import TaskManager

    from storm_evaluation.harness.loaded_tasks import HarnessTasks, _manager

    names = ("leaderboard_musr", "hendrycks_ethics", "arc_challenge")
    found = _manager(HarnessTasks(names, None, {}, 0)).task_index
    theirs = TaskManager(include_defaults=False).task_index
    assert not theirs
    assert set(found) >= {"leaderboard_musr", "leaderboard_musr_team_allocation", "ethics_cm"}
    assert found["hendrycks_ethics"].tags == {
        "ethics_cm",
        "ethics_deontology",
        "ethics_justice",
        "ethics_utilitarianism",
        "ethics_virtue",
    }


def test_data_of_nltk_that_cannot_be_fetched_are_named_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nltk.download", lambda *_, **__: False)
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    monkeypatch.setattr("storm_evaluation.tasks.packages._in_nltk_data", lambda _: False)
    evaluator = LmEval(tasks=["leaderboard_ifeval"])
    with pytest.raises(InputError, match=r"python -m nltk\.downloader punkt_tab"):
        evaluator.run(make_stage(tmp_path), Checkpoint(tmp_path / "no model is looked at"))

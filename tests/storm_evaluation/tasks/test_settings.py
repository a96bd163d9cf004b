"""Settings by task: how they are resolved, passed to the harness, and recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.tasks.record import rows_of
from storm_evaluation.tasks.settings import ByTask, TaskSettings, resolve
from storm_exp import SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec

HARNESS_H6 = {
    "arc_challenge": (25, "acc_norm"),
    "hellaswag": (10, "acc_norm"),
    "mmlu": (5, "acc"),
    "truthfulqa_mc2": (None, "acc"),
    "winogrande": (5, "acc"),
    "gsm8k": (5, "exact_match"),
}


def test_the_most_particular_name_counts_and_null_is_a_value() -> None:
    by_task = ByTask(num_fewshot={"mmlu": 5, "mmlu_stem": 3, "mmlu_anatomy": None})
    defaults = TaskSettings(num_fewshot=1)

    def shots(*names: str) -> int | None:
        return resolve(defaults, by_task, names).num_fewshot

    assert shots("gsm8k") == 1
    assert shots("mmlu_law", "mmlu_humanities", "mmlu") == 5
    assert shots("mmlu_physics", "mmlu_stem", "mmlu") == 3
    assert shots("mmlu_anatomy", "mmlu_stem", "mmlu") is None


def test_turns_need_the_template() -> None:
    by_task = ByTask(apply_chat_template={"plain": False})
    defaults = TaskSettings(fewshot_as_multiturn=True)
    assert resolve(defaults, by_task, ["chat"]).fewshot_as_multiturn
    assert not resolve(defaults, by_task, ["plain"]).fewshot_as_multiturn


def test_scores_of_tasks_asked_differently_are_those_of_the_harness(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    evaluator = LmEval(
        tasks=["choose", "write"],
        task_folder=str(task_folder),
        batch_size=4,
        by_task=ByTask(
            num_fewshot={"choose": 3},
            apply_chat_template={"choose": False},
            system_instruction={"write": "Answer."},
            batch_size={"write": 5},
            metric={"choose": "acc_norm"},
            limit={"write": 7},
        ),
    )
    evaluation = evaluator.run(make_stage(tmp_path), checkpoint)
    monkeypatch.chdir(task_folder)

    def asked_alone(task: str, **flags: object) -> dict:
        return lm_eval.simple_evaluate(
            model=HFLM(pretrained=str(checkpoint.directory), device="cpu", batch_size=3),
            tasks=[task],
            task_manager=TaskManager(include_path=str(task_folder), include_defaults=False),
            bootstrap_iters=0,
            fewshot_random_seed=1234,
            **flags,
        )

    choose = asked_alone("choose", num_fewshot=3)
    write = asked_alone("write", apply_chat_template=True, system_instruction="Answer.", limit=7)
    summary = evaluation.summary()
    assert summary["tasks"]["choose"]["score"] == choose["results"]["choose"]["acc_norm,none"]
    assert summary["tasks"]["write"]["score"] == write["results"]["write"]["near,none"]
    assert {t: e["n"] for t, e in summary["tasks"].items()} == {"choose": 20, "write": 7}
    for task, theirs in (("choose", choose), ("write", write)):
        prompts = [s.prompt for s in evaluation.samples() if s.task == task]
        expected = [row["arguments"][0][0] for row in theirs["samples"][task]]
        assert prompts == [p if len(p) <= 400 else "…" + p[-399:] for p in expected]
    assert summary["settings"]["by_task"] == {
        "choose": {
            "num_fewshot": 3,
            "metric": "acc_norm",
            "apply_chat_template": False,
            "fewshot_as_multiturn": False,
            "system_instruction": "",
            "batch_size": 4,
            "limit": None,
            "limit_seed": None,
            "max_new_tokens": None,
        },
        "write": {
            "num_fewshot": 0,
            "metric": "near",
            "apply_chat_template": True,
            "fewshot_as_multiturn": True,
            "system_instruction": "Answer.",
            "batch_size": 5,
            "limit": 7,
            "limit_seed": None,
            "max_new_tokens": None,
        },
    }


def test_the_report_shows_how_tasks_were_asked_and_only_where_models_were_asked_alike() -> None:
    entry = {
        "metric": "acc",
        "num_fewshot": 5,
        "apply_chat_template": False,
        "fewshot_as_multiturn": False,
        "batch_size": 16,
        "limit": 40,
        "limit_seed": 0,
    }
    evaluation = {
        "tasks": {"mmlu": {"n": 2280}, "glue": {"n": 9}},
        "settings": {"by_task": {"mmlu": entry, "cola": {**entry, "limit": None}}},
    }
    assert rows_of(evaluation) == [
        ["mmlu", "acc", 5, "no", "no", 16, "drawn 2280"],
        ["cola", "acc", 5, "no", "no", 16, "all"],
    ]
    assert rows_of({"tasks": {}, "settings": {"split": "validation"}}) == []


def test_a_drawn_part_is_the_same_for_every_model_and_moves_with_its_seed(
    tmp_path: Path, checkpoint: Checkpoint, other_checkpoint: Checkpoint, task_folder: Path
) -> None:
    def documents(model: Checkpoint, name: str, seed: int | None) -> list[tuple[str, str]]:
        evaluator = LmEval(
            tasks=["choose", "write"], task_folder=str(task_folder), limit=6, limit_seed=seed
        )
        evaluation = evaluator.run(make_stage(tmp_path / name), model)
        return [(s.task, s.document) for s in evaluation.samples()]

    drawn = documents(checkpoint, "a", 0)
    assert len(drawn) == 12
    assert drawn == documents(other_checkpoint, "b", 0)
    assert drawn != documents(checkpoint, "c", 1)
    first = documents(checkpoint, "d", None)
    everything = documents(checkpoint, "e", 0)
    assert drawn == everything != first


def test_a_drawn_document_scores_what_it_scores_among_all(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    def scores(name: str, **settings: object) -> dict[str, float]:
        evaluator = LmEval(tasks=["choose", "write"], task_folder=str(task_folder), **settings)
        evaluation = evaluator.run(make_stage(tmp_path / name), checkpoint)
        return {s.document: s.score for s in evaluation.samples()}

    whole, part = scores("whole"), scores("part", limit=8, limit_seed=3)
    assert len(part) == 16
    assert part.items() <= whole.items()


@pytest.mark.parametrize("field", ["num_fewshot", "batch_size", "metric", "apply_chat_template"])
def test_a_name_that_is_not_asked_is_refused_with_the_nearest(
    field: str, task_folder: Path
) -> None:
    value = {"num_fewshot": 1, "batch_size": 1, "metric": "acc", "apply_chat_template": True}[field]
    evaluator = LmEval(
        tasks=["choose"], task_folder=str(task_folder), by_task=ByTask(**{field: {"chose": value}})
    )
    with pytest.raises(SettingError, match=rf"by_task\.{field}='chose'.*did you mean 'choose'"):
        evaluator.plan_spec(CheckpointSpec())


def test_h6_is_asked_with_the_leaderboards_shots_and_metrics(preset) -> None:
    for name in ("h6", "minitron"):
        asked = preset(name).asked()
        assert len(asked) == 5 + 57
        for leaf, settings in asked.values():
            shots, metric = HARNESS_H6[leaf.asked]
            assert (settings.num_fewshot, settings.metric) == (shots, metric)
            assert not settings.apply_chat_template and not settings.fewshot_as_multiturn
        assert asked["truthfulqa_mc2"][0].own_shots() == 0


def test_storm_is_asked_as_its_authors_say(preset) -> None:
    storm = preset("storm")
    asked = storm.asked()
    assert storm.dtype == "bfloat16"
    batches = {leaf.asked: s.batch_size for leaf, s in asked.values()}
    assert batches.pop("leaderboard_gpqa") == 4
    assert batches.pop("truthfulqa_mc2") == 128
    assert set(batches.values()) == {32}
    turns = {leaf.asked: s.fewshot_as_multiturn for leaf, s in asked.values()}
    assert all(
        on == (n.startswith("leaderboard") or n == "truthfulqa_mc2") for n, on in turns.items()
    )
    assert all(s.apply_chat_template for _, s in asked.values())
    shots = {
        leaf.asked: leaf.own_shots() if s.num_fewshot is None else s.num_fewshot
        for leaf, s in asked.values()
    }
    assert shots["leaderboard_bbh"] == 3
    assert shots["leaderboard_mmlu_pro"] == 5
    assert shots["leaderboard_math_hard"] == 4
    assert shots["arc_challenge"] == 0


def test_tinyllama_is_asked_as_its_authors_say(preset) -> None:
    tinyllama = preset("tinyllama")
    assert (tinyllama.dtype, tinyllama.batch_size) == ("float32", 32)
    for leaf, settings in tinyllama.asked().values():
        assert settings.num_fewshot == 0 and not settings.apply_chat_template
        if "acc_norm" in leaf.metrics():
            assert settings.metric == "acc_norm"

"""Every recipe that ships: it plans, and says nothing that reads like the user's fault."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace
from presets import RECIPES, SWEEPS
from storm_exp import PlanError
from storm_exp._plan.notices import list_notices
from storm_exp._run import application
from storm_exp._run.run import make_plan

_OWN = ["base_model.path={models}/a", "dataset.path={models}/chats.jsonl"]
NEEDED = {
    **dict.fromkeys(("storm_own", "sft", "curate"), _OWN),
    "dpo": ["base_model.path={models}/a", "dataset.path={models}/pairs.jsonl"],
    "decontaminate": ["dataset.path={models}/chats.jsonl", "questions.tasks=[gsm8k]"],
    "pretrain": ["base_model.path={models}/a", "dataset.path={models}/texts.jsonl"],
    "distil": ["teacher.path={models}/b", *_OWN],
    "evaluate": [*_OWN, "evaluator=held_out"],
    "merge": ["base_model.path={models}/a", "partner.path={models}/b"],
    "prune": [*_OWN, "compressor.hidden_ratio=0.5"],
    "export": ["base_model.path={models}/a"],
    "merge_yaml": ["merge.file={models}/merge.yaml"],
    "storm_smollm2": ["runtime.accelerator=h100"],
}
"""Settings of recipes that read the user's files, or need an environment that may be missing."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from storm_models.testing import make_checkpoint

    folder = tmp_path_factory.mktemp("models")
    for name in "ab":
        make_checkpoint(folder / name, max_position_embeddings=4096)
    rows = [
        {"messages": [{"role": "user", "content": str(n)}, {"role": "assistant", "content": "b"}]}
        for n in range(400)
    ]
    merge = {"merge_method": "linear", "dtype": "float32", "models": []}
    merge["models"] = [{"model": str(folder / n), "parameters": {"weight": 0.5}} for n in "ab"]
    (folder / "merge.yaml").write_text(json.dumps(merge), encoding="utf-8")
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "chats.jsonl").write_text(text, encoding="utf-8")
    pairs = [{"prompt": str(n), "chosen": "a", "rejected": "b"} for n in range(400)]
    text = "".join(json.dumps(row) + "\n" for row in pairs)
    (folder / "pairs.jsonl").write_text(text, encoding="utf-8")
    texts = "".join(json.dumps({"text": f"Text {n}."}) + "\n" for n in range(400))
    (folder / "texts.jsonl").write_text(texts, encoding="utf-8")
    return folder


@pytest.mark.parametrize("recipe", [name.partition("/")[2] for name in RECIPES])
def test_no_shipped_recipe_says_that_something_is_unused(plan, models, recipe):
    own = [text.format(models=models) for text in NEEDED.get(recipe, [])]
    planned = plan(f"recipe={recipe}", *own)
    assert [line for line in list_notices(planned) if line.startswith("unused")] == []


@pytest.fixture
def plan_cells(tmp_path, monkeypatch):
    """Return a function that plans a command line's cells in this process."""
    plans = []

    def act(cells):
        plans.append(make_plan(cells))
        return [None] * len(cells)

    def make(*words):
        application.compose_and_act(list(words))
        return plans.pop()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["storm-exp"])
    monkeypatch.setattr(application, "act", act)
    return make


@pytest.mark.parametrize("sweep", [name.partition("/")[2] for name in SWEEPS])
def test_no_shipped_sweep_says_that_something_is_unused(plan_cells, sweep):
    planned = plan_cells(f"sweep={sweep}")
    assert len(planned.cells) > 1
    assert [line for line in list_notices(planned) if line.startswith("unused")] == []


def test_what_the_user_adds_to_a_shipped_sweep_is_said(plan_cells):
    lines = list_notices(plan_cells("sweep=curation_control", "finetuner=lora"))
    unused = [line for line in lines if line.startswith("unused")]
    assert "unused: sft has no port 'data' (graph.finetuner.data)" in unused


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["finetuner=lora"], "unused: sft has no port 'data' (graph.finetuner.data)"),
        (["merger=slerp"], "unused: slerp has no port 'base' (graph.merger.base)"),
        (["graph.compressor.data=dataset"], "unused: "),
    ],
)
def test_what_the_user_left_unused_is_said(plan, overrides, said):
    lines = list_notices(plan("recipe=storm", *overrides))
    assert any(line.startswith(said) for line in lines if line.startswith("unused")), lines


@pytest.mark.parametrize(
    "overrides", [[], ["finetuner.steps=4"], ["finetuner=lora"], ["finetuner.learning_rate=1e-4"]]
)
def test_a_port_that_the_method_does_not_need_is_not_said(plan, overrides):
    lines = list_notices(plan("recipe=tinyworld/sft", *overrides))
    assert not [line for line in lines if line.startswith("unused")]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("evaluator=open_llm_leaderboard", "did you mean 'h6'?"),
        ("evaluator=storm_8b", "did you mean 'storm'?"),
        ("evaluator=tinyllama_1_1b", "did you mean 'tinyllama'?"),
        ("finetuner=solar_sft", "did you mean 'solar/sft'?"),
        ("evaluator=tinyworld", "did you mean 'tinyworld/skills'?"),
        ("evaluator.metrics.arc_easy=acc", "did you mean 'by_task.metric'?"),
        ("finetuner.parameters.choice=lora", "did you mean 'finetuner.trainable.method'?"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(tmp_path, typed, meant):
    said = Workplace(tmp_path / "work").run("plan", "recipe=solar_10_7b", typed, code=1)
    assert meant in said


@pytest.mark.parametrize(
    ("family", "problem"),
    [
        ("gpt_neox", "other names in transformers than in its files"),
        ("qwen2_moe", "one tensor per expert"),
        ("mamba", "carry state"),
    ],
)
def test_a_family_that_a_stage_cannot_handle_is_refused_when_planned(plan, models, family, problem):
    data = f"dataset.path={models}/chats.jsonl"
    hub = [
        "base_model=hub",
        "base_model.repo=a/b",
        f"+base_model.expected_config.model_type={family}",
    ]
    with pytest.raises(PlanError, match=f"family '{family}' cannot .*{problem}"):
        plan("recipe=storm_own", data, *hub)


@pytest.mark.parametrize("recipe", ["solar_10_7b", "minitron_4b_width", "birbal_7b"])
def test_a_base_model_without_a_template_is_refused_when_planned_unless_it_gets_one(plan, recipe):
    assert all(node.spec is not None for node in plan(f"recipe={recipe}").nodes.values())
    with pytest.raises(PlanError, match=r"no chat template.*chat\.template"):
        plan(f"recipe={recipe}", "chat.template=own")


@pytest.mark.parametrize("recipe", ["storm_8b", "storm_phi3", "tinyllama_1_1b"])
def test_a_chat_model_needs_no_template_of_ours(plan, recipe):
    plan(f"recipe={recipe}", "chat.template=own")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recipe=tinyworld/sft"], []),
        (["recipe=tinyworld/sft", "dataset.seed=1"], []),
        (["recipe=tinyworld/sft", "finetuner.steps=5"], []),
        (["recipe=tinyworld/sft", "finetuner=lora"], ["scanner"]),
        (["recipe=tinyworld/sft", "finetuner.trainable.method=lora"], ["scanner"]),
        (["recipe=tinyworld/sft", "targets=[tokens]"], ["scanner", "finetuner", "evaluator"]),
    ],
)
def test_a_stage_that_nothing_needs_is_named_where_it_follows_from_what_the_user_wrote(
    plan, words, said
):
    lines = [line for line in list_notices(plan(*words)) if line.startswith("not planned")]
    assert len(lines) == bool(said)
    assert all(stage in line for line in lines for stage in said)

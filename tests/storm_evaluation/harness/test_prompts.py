"""What the harness asks: settings, ends, templates and examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness_runs import asked, evaluate, harness_model
from storm_evaluation.tasks.settings import ByTask
from storm_models.checkpoint.checkpoint import Checkpoint


def test_settings_reach_the_harness(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    evaluation, _ = evaluate(
        tmp_path,
        checkpoint,
        task_folder,
        limit=5,
        by_task=ByTask(metric={"choose": "acc_norm"}),
        max_new_tokens=3,
        batch_size=2,
        max_length=128,
        dtype="bfloat16",
    )
    summary = evaluation.summary()
    assert {task["n"] for task in summary["tasks"].values()} == {5}
    assert summary["tasks"]["choose"]["metric"] == "acc_norm"
    assert max(len(s.prediction) for s in evaluation.samples() if s.task == "write") <= 3
    expected = {"max_length": 128, "dtype": "bfloat16"}
    assert expected.items() <= summary["settings"].items()
    for task, metric in (("choose", "acc_norm"), ("write", "near")):
        said = {"batch_size": 2, "limit": 5, "max_new_tokens": 3, "metric": metric}
        assert said.items() <= summary["settings"]["by_task"][task].items()


@pytest.mark.parametrize(
    ("chat_template", "adds_bos", "bos"),
    [
        (True, False, "one, from the chat template"),
        (True, True, "one, from the chat template"),
        (False, True, "one, from the tokenizer"),
        (False, False, "none"),
    ],
)
def test_there_is_at_most_one_bos_and_it_is_recorded(
    tmp_path: Path,
    task_folder: Path,
    make_checkpoint: Callable[..., Checkpoint],
    chat_template: bool,
    adds_bos: bool,
    bos: str,
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model", adds_bos=adds_bos)
    evaluation, _ = evaluate(
        tmp_path, checkpoint, task_folder, apply_chat_template=chat_template, limit=2
    )
    settings = evaluation.summary()["settings"]
    assert settings["bos"] == bos
    assert (settings["chat_template"] is not None) == chat_template


@pytest.mark.parametrize("lacking", [["eos_token"], ["bos_token", "eos_token", "pad_token"]])
def test_a_tokenizer_that_names_no_end_has_that_of_the_model(
    tmp_path: Path,
    task_folder: Path,
    make_checkpoint: Callable[..., Checkpoint],
    lacking: list[str],
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model")
    whole, _ = evaluate(tmp_path / "whole", checkpoint, task_folder, limit=2)
    file = checkpoint.directory / "tokenizer_config.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({k: v for k, v in content.items() if k not in lacking}))
    template = checkpoint.directory / "chat_template.jinja"
    text = template.read_text(encoding="utf-8").replace("{{ bos_token }}", "<|begin|>")
    template.write_text(text, encoding="utf-8")
    checkpoint = Checkpoint(checkpoint.directory)
    assert checkpoint.tokenizer().eos_token is None
    evaluation, _ = evaluate(tmp_path / "lacking", checkpoint, task_folder, limit=2)
    assert [s.prediction for s in evaluation.samples()] == [s.prediction for s in whole.samples()]


def test_a_tokenizer_that_adds_an_end_adds_none_to_a_question(
    tmp_path: Path, task_folder: Path, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model")
    template = checkpoint.directory / "chat_template.jinja"
    text = template.read_text(encoding="utf-8").replace("{{ bos_token }}", "")
    template.write_text(text, encoding="utf-8")
    plain, _ = evaluate(tmp_path / "plain", checkpoint, task_folder, limit=3)
    file = checkpoint.directory / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    end = {"id": "<|end|>", "type_id": 0}
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": end}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [1], "tokens": ["<|end|>"]}},
    }
    file.write_text(json.dumps(content), encoding="utf-8")
    checkpoint = Checkpoint(checkpoint.directory)
    tokenizer = checkpoint.tokenizer()
    assert tokenizer("a")["input_ids"][-1] == tokenizer.eos_token_id
    adding, _ = evaluate(tmp_path / "adding", checkpoint, task_folder, limit=3)
    told = [(s.task, s.document, s.score, s.prediction) for s in adding.samples()]
    assert told == [(s.task, s.document, s.score, s.prediction) for s in plain.samples()]
    model = harness_model(tmp_path, checkpoint, checkpoint.load())
    assert tokenizer.decode(model.tok_encode(asked(model, "x"))) == asked(model, "x")


def test_a_template_that_writes_bos_twice_gives_one(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    import shutil

    twice = tmp_path / "model"
    shutil.copytree(checkpoint.directory, twice)
    template = twice / "chat_template.jinja"
    template.write_text("{{ bos_token }}" + template.read_text())
    evaluation, _ = evaluate(tmp_path, Checkpoint(twice), task_folder, tasks=["choose"], limit=2)
    assert evaluation.summary()["settings"]["bos"] == "one, from the chat template"


def test_few_shot_examples_stand_before_the_question_and_follow_the_seed(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    prompts = []
    for index, seed in enumerate((1, 1, 2)):
        evaluation, _ = evaluate(
            tmp_path / str(index),
            checkpoint,
            task_folder,
            tasks=["choose"],
            num_fewshot=2,
            limit=3,
            seed=seed,
        )
        assert evaluation.summary()["settings"]["by_task"]["choose"]["num_fewshot"] == 2
        prompts.append([sample.prompt for sample in evaluation.samples()])
    assert prompts[0][0].count("<|user|>") == 3, "as turns of one conversation"
    assert prompts[0] == prompts[1] != prompts[2]


@pytest.mark.parametrize(
    "template",
    [
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    ],
    ids=["refused", "left out"],
)
def test_what_the_system_says_is_asked_where_a_template_has_no_place_for_it(
    tmp_path: Path, make_checkpoint: Callable, template: str
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model")
    (checkpoint.directory / "chat_template.jinja").write_text(template)
    ours = harness_model(tmp_path, checkpoint, checkpoint.load())
    history = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}]
    assert ours.apply_chat_template(history) == "<|user|>be brief\n\nwhy?<|end|><|assistant|>"
    assert len(ours.prompts.remarks) == 1
    assert ours.apply_chat_template(history[1:]) == "<|user|>why?<|end|><|assistant|>"

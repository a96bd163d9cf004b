from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.special import softmax

from storm_evaluation.harness.lm_eval import LmEval
from storm_evaluation.sample import hash_prompt
from storm_evaluation.tasks.settings import ByTask
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint


def evaluate(folder: Path, checkpoint: Checkpoint, task_folder: Path, **settings: object):
    settings = {"tasks": ["choose", "write"], "task_folder": str(task_folder), **settings}
    stage = make_stage(folder, "evaluator")
    return LmEval(**settings).run(stage, checkpoint), stage


def harness_model(folder: Path, checkpoint: Checkpoint, model, batch_size: int = 2):
    from storm_evaluation.harness.language_model import HarnessModel

    return HarnessModel(
        model,
        checkpoint.tokenizer(),
        checkpoint.chat(),
        make_stage(folder),
        batch_size=batch_size,
        max_length=None,
    )


def asked(model, question: str) -> str:
    return model.apply_chat_template([{"role": "user", "content": question}])


def test_scores_are_those_of_the_harness_itself(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    evaluation, stage = evaluate(tmp_path, checkpoint, task_folder)
    monkeypatch.chdir(task_folder)
    expected = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(checkpoint.directory), device="cpu", batch_size=7),
        tasks=["choose", "write"],
        task_manager=TaskManager(include_path=str(task_folder), include_defaults=False),
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    summary = evaluation.summary()
    assert summary["tasks"]["choose"]["score"] == expected["results"]["choose"]["acc,none"]
    assert summary["tasks"]["write"]["score"] == expected["results"]["write"]["near,none"]
    assert 0 < summary["tasks"]["write"]["score"] < 1
    for task, metric in (("choose", "acc"), ("write", "near")):
        theirs = sorted(expected["samples"][task], key=lambda row: row["doc_id"])
        ours = [sample for sample in evaluation.samples() if sample.task == task]
        for sample, row in zip(ours, theirs, strict=True):
            assert sample.score == sample.metrics[metric] == row[metric]
            assert sample.prompt_hash == hash_prompt(row["arguments"][0][0])
            answers = row["filtered_resps"]
            if task == "write":
                assert sample.prediction == answers[0] and not sample.log_likelihoods
                continue
            likelihoods = [likelihood for likelihood, _ in answers]
            assert sample.log_likelihoods == pytest.approx(likelihoods, abs=1e-4)
            assert sample.metrics["acc_norm"] == row["acc_norm"]
            assert sample.metrics["log_likelihood"] == sample.log_likelihoods[0]
            share = softmax(sample.log_likelihoods)[0]
            assert sample.metrics["probability"] == pytest.approx(share)
    assert stage.main_metric == "mean_score"
    assert stage.metrics["score/choose"] == summary["tasks"]["choose"]["score"]
    assert stage.metrics["documents"] == 40


@pytest.mark.slow
def test_scores_are_those_of_the_harness_s_own_command(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    evaluation, _ = evaluate(tmp_path / "ours", checkpoint, task_folder)
    model = f"pretrained={checkpoint.directory},dtype=float32"
    options = {"model_args": model, "tasks": "choose,write", "include_path": task_folder}
    options |= {"device": "cpu", "batch_size": 5, "output_path": tmp_path / "theirs"}
    words = [f"--{name}={value}" for name, value in options.items()]
    flags = ["--model=hf", "--apply_chat_template", "--log_samples"]
    subprocess.run(
        [sys.executable, "-m", "lm_eval", "run", *flags, *words],
        check=True,
        capture_output=True,
        cwd=task_folder,
    )
    for task, metric in (("choose", "acc"), ("write", "near")):
        (file,) = (tmp_path / "theirs").rglob(f"samples_{task}_*.jsonl")
        with file.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        theirs = [row[metric] for row in sorted(rows, key=lambda row: row["doc_id"])]
        assert [s.score for s in evaluation.samples() if s.task == task] == theirs


def test_greedy_decoding_equals_that_of_the_harness(tmp_path: Path, checkpoint: Checkpoint) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    ours = harness_model(tmp_path, checkpoint, model, batch_size=24)
    requests = [
        Instance(
            "generate_until",
            {},
            (
                asked(ours, f"{'abc ' * (number % 7)}{number}"),
                {"until": [stop, "Cl"], "max_gen_toks": 40, "do_sample": False},
            ),
            number,
        )
        for number in range(24)
        for stop in ("\n", "C", "x5")
    ]
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=24)
    expected = theirs.generate_until(requests, disable_tqdm=True)
    assert ours.generate_until(requests) == expected
    assert len(set(map(len, expected))) > 3, "some answers were stopped early"


def test_a_prompt_that_is_computed_once_gives_the_same_likelihoods(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from storm_evaluation.harness import shared_prompt

    model, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    ours = harness_model(tmp_path, checkpoint, model, batch_size=16)
    controls = [n for n, token in tokenizer.added_tokens_decoder.items() if token.special]
    requests = []
    for n in range(15):
        prompt = asked(ours, f"{'ab ' * (n % 9)}{n}")
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
        logits = model(ids).logits[0, -1]
        logits[controls] = -float("inf")  # an answer's control tokens are text
        likeliest = tokenizer.decode(logits.argmax())
        for text in (likeliest, "x5 ", "yes it is", "CC", "n" * (n + 1)):
            requests.append(Instance("loglikelihood", {}, (prompt, text), n))
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=5)
    expected = theirs.loglikelihood(requests, disable_tqdm=True)
    found = ours.loglikelihood(requests)
    assert [a[0] for a in found] == pytest.approx([a[0] for a in expected], abs=1e-4)
    assert [a[1] for a in found] == [a[1] for a in expected]
    assert 0 < sum(greedy for _, greedy in expected) < len(expected)
    pairs = [(tokenizer.encode(a), tokenizer.encode(b)) for a, b in (r.args for r in requests)]
    assert shared_prompt.share_of_tokens(pairs) < 0.5, "else the ordinary way was compared"


def test_a_generation_config_that_is_not_plain_greedy_is_left_to_transformers(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    model = checkpoint.load()
    ours = harness_model(tmp_path, checkpoint, model)
    assert ours._is_plain_greedy({"do_sample": False})
    assert not ours._is_plain_greedy({"do_sample": True})
    assert not ours._is_plain_greedy({"top_k": 5})
    model.generation_config.repetition_penalty = 1.1
    assert not ours._is_plain_greedy({"do_sample": False})


def test_the_same_bytes_twice_and_nothing_of_the_run_in_them(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    payloads = []
    for name in ("x", "y"):
        evaluation, _ = evaluate(tmp_path / name, checkpoint, task_folder)
        files = sorted(evaluation.directory.iterdir())
        assert [file.name for file in files] == ["evaluation.json", "samples.parquet"]
        payloads.append([file.read_bytes() for file in files])
    assert payloads[0] == payloads[1]
    assert str(tmp_path).encode() not in b"".join(payloads[0])


def test_documents_have_the_same_names_for_every_model(
    tmp_path: Path, checkpoint: Checkpoint, other_checkpoint: Checkpoint, task_folder: Path
) -> None:
    names = []
    for folder, model in (("x", checkpoint), ("y", other_checkpoint)):
        evaluation, _ = evaluate(tmp_path / folder, model, task_folder)
        names.append([(s.task, s.document) for s in evaluation.samples()])
    assert names[0] == names[1]
    assert len(set(names[0])) == 40


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


def test_a_metric_that_is_no_mean_over_documents_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    with pytest.raises(InputError, match="has no metric 'f1'"):
        evaluate(
            tmp_path,
            checkpoint,
            task_folder,
            tasks=["choose"],
            by_task=ByTask(metric={"choose": "f1"}),
            limit=2,
        )


def test_a_group_counts_as_one_task(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    import shutil

    folder = tmp_path / "tasks"
    shutil.copytree(task_folder, folder)
    (folder / "again.yaml").write_text("include: choose.yaml\ntask: again\n")
    (folder / "both.yaml").write_text("group: both\ntask: [choose, again]\n")
    evaluation, _ = evaluate(tmp_path, checkpoint, folder, tasks=["both"])
    assert evaluation.summary()["tasks"]["both"]["n"] == 40
    assert {sample.subtask for sample in evaluation.samples()} == {"choose", "again"}


def test_a_task_folder_needs_no_network_and_no_home(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    _, stage = evaluate(tmp_path, checkpoint, task_folder, tasks=["choose"], limit=2)
    assert list((stage.scratch / "datasets").rglob("*.arrow"))


def test_it_is_quiet_and_leaves_loggers_as_they_were(
    tmp_path: Path,
    checkpoint: Checkpoint,
    task_folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger("transformers").level
    evaluate(tmp_path, checkpoint, task_folder, limit=2)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert logging.getLogger("transformers").level == before


def test_an_fp8_checkpoint_scores_like_the_model_it_came_from(
    tmp_path: Path, checkpoint: Checkpoint, task_folder: Path
) -> None:
    pytest.importorskip("llmcompressor")
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier

    model, fp8 = checkpoint.load(dtype="bfloat16"), tmp_path / "fp8"
    recipe = QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=["lm_head"])
    oneshot(model=model, recipe=recipe)
    model.save_pretrained(fp8, save_compressed=True)
    checkpoint.tokenizer().save_pretrained(fp8)
    assert json.loads((fp8 / "config.json").read_text())["quantization_config"]
    scores = []
    for name, directory in (("x", checkpoint.directory), ("y", fp8)):
        evaluation, _ = evaluate(
            tmp_path / name, Checkpoint(directory), task_folder, tasks=["choose"], dtype="float32"
        )
        scores.append([sample.score for sample in evaluation.samples()])
    assert evaluation.summary()["settings"]["quantization"] == "compressed-tensors"
    same = sum(a == b for a, b in zip(*scores, strict=True))
    assert same >= 16


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

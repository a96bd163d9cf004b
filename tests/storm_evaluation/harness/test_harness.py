from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from scipy.special import softmax

from harness_runs import asked, evaluate, harness_model
from storm_evaluation.sample import hash_prompt
from storm_evaluation.tasks.settings import ByTask
from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint


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

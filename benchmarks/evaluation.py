"""An evaluation against lm_eval's own command: the same model, tasks, batches and precision.

python benchmarks/evaluation.py            SmolLM2-135M of its wheel, and the section of RESULTS.md
python benchmarks/evaluation.py --answers  the answers alone, in one process: evaluation_answers.py
python benchmarks/evaluation.py --small    a random model of 0.2 M parameters; prints what it took

Both are whole commands in processes of their own, interleaved, on two cores with two threads. Ours
begins with an empty store. What either takes besides answering is measured with one question of
each task. A measurement that was interrupted goes on with its next round.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import table, write_section
from training_data import docstrings, make_smollm2

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute() / "evaluation"
ROUNDS, QUESTIONS = 3, 32
THREADS = 2
BATCH = 16
BAR = 1.10
CHOOSE, WRITE = "choose", "write"
NAMES = {CHOOSE: "of four continuations", WRITE: "written, 32 tokens"}
_SHARED = """\
dataset_path: json
dataset_kwargs: {{data_files: {{test: {task}.jsonl}}}}
test_split: test
task: {task}
doc_to_text: question
doc_to_target: answer
"""
_CHOOSE = """\
output_type: multiple_choice
doc_to_choice: choices
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
_WRITE = """\
output_type: generate_until
generation_kwargs: {until: ["\\n\\n\\n"], max_gen_toks: 32, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


@dataclasses.dataclass(frozen=True)
class Job:
    """What both evaluate, and where."""

    model: Path
    folder: Path
    tasks: tuple[str, ...] = (CHOOSE, WRITE)
    limit: int | None = None

    @property
    def place(self) -> Path:
        """The folder of the tasks."""
        return self.folder / "tasks"


def make_tasks(folder: Path, questions: int) -> None:
    """Write both tasks, with so many questions each, on docstrings of the standard library.

    The choices are how a docstring goes on and how three others do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = [text.split() for _, text in docstrings(600)]
    texts = [words for words in texts if len(words) >= 40]
    draw = random.Random(0)
    draw.shuffle(texts)
    endings = [" ".join(words[-8:]) for words in texts]
    for task, more in ((CHOOSE, _CHOOSE), (WRITE, _WRITE)):
        rows: list[dict[str, Any]] = []
        for number in range(questions):
            choices = [endings[number], *draw.sample(endings[questions:], 3)]
            answer = draw.randrange(4)
            choices[0], choices[answer] = choices[answer], choices[0]
            asked = " ".join(texts[number][:-8])
            right: Any = answer if task == CHOOSE else endings[number]
            rows.append({"question": f"Go on: {asked}", "choices": choices, "answer": right})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{task}.jsonl").write_text(lines, encoding="utf-8")
        (folder / f"{task}.yaml").write_text(_SHARED.format(task=task) + more, encoding="utf-8")


def ours(job: Job) -> tuple[float, dict[str, list[float]]]:
    """Evaluate by `storm-exp`; return seconds, and the score of every question by task."""
    shutil.rmtree(job.folder / "outputs", ignore_errors=True)
    words = [
        "recipe=evaluate",
        f"base_model.path={job.model}",
        f"evaluator.tasks=[{','.join(job.tasks)}]",
        f"evaluator.task_folder={job.place}",
        f"evaluator.batch_size={BATCH}",
        "evaluator.dtype=float32",
        f"runtime.threads={THREADS}",
        *([f"evaluator.limit={job.limit}"] if job.limit else []),
    ]
    seconds = timed(["-m", "storm_exp", *words], job.folder)
    return seconds, own_scores(job.folder / "outputs/latest/evaluator", job.tasks)


def own_scores(folder: Path, tasks: tuple[str, ...]) -> dict[str, list[float]]:
    """Return the score of every question of an evaluation, by task."""
    from storm_evaluation.evaluation import Evaluation

    samples = list(Evaluation(folder.resolve()).samples())
    return {task: [each.score for each in samples if each.task == task] for task in tasks}


def theirs(job: Job) -> tuple[float, dict[str, list[float]]]:
    """Evaluate by `lm_eval`; return seconds, and the score of every question by task."""
    output = job.folder / "theirs"
    shutil.rmtree(output, ignore_errors=True)
    options = {
        "model": "hf",
        "model_args": f"pretrained={job.model},dtype=float32",
        "tasks": ",".join(job.tasks),
        "include_path": job.place,
        "device": "cpu",
        "batch_size": BATCH,
        "output_path": output,
        **({"limit": job.limit} if job.limit else {}),
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    flags = ["--apply_chat_template", "--log_samples"]
    seconds = timed(["-m", "lm_eval", "run", *flags, *words], job.place)
    scores = {}
    for task in job.tasks:
        (file,) = output.rglob(f"samples_{task}_*.jsonl")
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        metric = "acc" if task == CHOOSE else "exact_match"
        scores[task] = [row[metric] for row in sorted(rows, key=lambda row: int(row["doc_id"]))]
    return seconds, scores


def timed(words: list[str], folder: Path) -> float:
    """Return the seconds that a Python process takes on its cores."""
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:THREADS]))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    started = time.perf_counter()
    done = subprocess.run(
        ["taskset", "-c", cores, sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{words} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def measure(jobs: dict[str, Job], rounds: int, file: Path) -> dict[str, list[list[float]]]:
    """Return by job the seconds of (theirs, ours) in every round; exits if a score differs.

    Rounds are kept in a file.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in jobs}
    if file.is_file():
        found |= json.loads(file.read_text(encoding="utf-8"))
    for name in [each for number in range(rounds) for each in jobs if len(found[each]) <= number]:
        (before, expected), (after, scores) = theirs(jobs[name]), ours(jobs[name])
        if scores != expected:
            sys.exit(f"{name}: the scores differ: {scores} are not {expected}")
        found[name].append([before, after])
        file.write_text(json.dumps(found), encoding="utf-8")
        print(f"{name}: lm_eval {before:.1f} s, storm-exp {after:.1f} s", flush=True)
    return found


def describe(found: dict[str, list[list[float]]], questions: int) -> str:
    """Return the section's table and notes; the first job is the start alone."""
    start, *asked = found
    medians = {name: (_median(runs, 0), _median(runs, 1)) for name, runs in found.items()}
    rows = []
    for name in asked:
        before, after = medians[name]
        rows.append(_row(name, before, after, f"at most {BAR:.2f}"))
    rows.append(_row(start, *medians[start]))
    worst = max(medians[name][1] / medians[name][0] for name in asked)
    header = ["", "lm_eval", "storm-exp", "ratio", ""]
    return (
        f"{table(header, rows)}\n\n{questions} questions a task, batches of {BATCH}, fp32, chat "
        f"template, {THREADS} threads; medians of {len(found[start])} whole commands each, "
        "interleaved; `lm_eval run --model hf` against `storm-exp recipe=evaluate` with an empty "
        "store, whose time has the digest of the model, the record of every question and the "
        f"report. Every question has the same score. {'Met' if worst <= BAR else 'Missed'}: the "
        f"highest ratio of whole commands is {worst:.2f}."
    )


def _median(runs: list[list[float]], side: int) -> float:
    return statistics.median(run[side] for run in runs)


def _row(name: str, before: float, after: float, bar: str = "") -> list[str]:
    return [name, f"{before:.1f} s", f"{after:.1f} s", f"{after / before:.2f}", bar]


def prepare(folder: Path, model: Path, questions: int) -> dict[str, Job]:
    """Write the tasks; return what is evaluated, by what the table calls it."""
    make_tasks(folder / "tasks", questions)
    jobs = {f"questions {NAMES[task]}": Job(model, folder, (task,)) for task in NAMES}
    return {"one question of each task": Job(model, folder, limit=1), **jobs}


def small(folder: Path) -> str:
    """Measure a random model once; return the section."""
    from storm_models.testing import make_checkpoint

    model = make_checkpoint(folder / "model", dtype="float32").directory
    return describe(measure(prepare(folder, model, 4), 1, folder / "rounds.json"), 4)


def answers() -> None:
    """Measure answers alone, and replace their section."""
    import evaluation_answers as alone

    model, count = make_smollm2(WORK / "smollm2"), QUESTIONS // 2
    make_tasks(WORK / "tasks", QUESTIONS)
    with tempfile.TemporaryDirectory() as name:
        found = alone.measure(model, WORK / "tasks", Path(name), count, alone.ROUNDS)
    command = "python benchmarks/evaluation.py --answers"
    write_section("Evaluation: answers alone", command, alone.describe(found, count))


def main(words: list[str]) -> None:
    """Measure, and replace the section in RESULTS.md unless it is the small one."""
    if words == ["--small"]:
        with tempfile.TemporaryDirectory() as name:
            print(small(Path(name).resolve()))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    if words == ["--answers"]:
        answers()
        return
    jobs = prepare(WORK, make_smollm2(WORK / "smollm2"), QUESTIONS)
    body = describe(measure(jobs, ROUNDS, WORK / "rounds.json"), QUESTIONS)
    (WORK / "rounds.json").unlink()
    write_section("Evaluation against lm_eval", "python benchmarks/evaluation.py", body)


if __name__ == "__main__":
    main(sys.argv[1:])

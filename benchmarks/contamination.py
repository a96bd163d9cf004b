"""How many planted leaks of questions are found, family by family, and how many clean rows.

`python benchmarks/contamination.py` plants questions in six families among 100,000 clean rows and
writes its section of RESULTS.md; `--rows 2000 --leaks 12 --quick` is a small try, which prints.

The questions: real ones of benchmarks (the examples in the YAMLs of lm-evaluation-harness),
passages of documentation, and those of the miniature world with five words or more. The clean rows
share their templates, topics and vocabulary: the other examples of the same tasks with their
answers, other paragraphs of the same documentation and of that of other packages, and generated
questions of the same skills.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
import re
import resource
import site
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lm_eval
import yaml

import storm_tinyworld
from results import table, write_section
from storm_data.dataset import Dataset
from storm_data.decontamination.hits import Hit, read_hits
from storm_data.decontamination.normal_form import words
from storm_data.decontaminators.ngrams import Ngrams
from storm_data.questions.questions import Question, Questions
from storm_data.rows.arrow_schema import chat_schema
from storm_exp.testing import make_stage
from storm_tinyworld.corpora.leaks import LEAKS, WHOLE
from storm_tinyworld.skills.basic import DIFFICULTIES, examples
from storm_tinyworld.skills.skill_registry import EVERY_FAMILY

ASKED_OF = ("scipy", "networkx", "pandas")
"""Packages some of whose passages are questions; their others are clean."""
OTHERS = ("numpy", "sklearn", "sympy", "statsmodels", "sqlalchemy", "nltk", "torch", "transformers")
"""Packages all of whose passages are clean."""
QUICK = ("networkx", "jinja2", "yaml")
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_CODE = re.compile(r">>>|---|===|\s:\s|::|\.\. ")
"""Signs of examples, lists of parameters and headings."""
_COPY = 13
"""A row that has so many words in a row with a question is a copy (Brown et al. 2020, app. C)."""
_TEXTS = ("question", "input_question", "input", "problem", "prompt", "text")
_ANSWERS = ("target", "answer", "solution", "output", "input_correct_responses")
_LEAST, _MOST = 12, 120
"""Words of a passage that is asked."""

Text = tuple[str, str]
"""What is asked, or said, and the answer to it."""


class _Yaml(yaml.CSafeLoader):  # type: ignore[misc]  # of type Any in the stubs
    """Reads the harness's YAMLs, whose functions do not matter here."""


_Yaml.add_multi_constructor("!", lambda loader, suffix, node: None)


@functools.cache
def real_questions() -> dict[str, list[Text]]:
    """Return the examples of lm-evaluation-harness's tasks by family of tasks, each once."""
    folder = Path(lm_eval.__file__).parent / "tasks"
    found: dict[str, list[Text]] = {}
    seen: set[tuple[str, ...]] = set()
    for file in sorted(folder.rglob("*.yaml")):
        text = file.read_text(encoding="utf-8", errors="replace")
        if "samples:" not in text:
            continue
        content = yaml.load(text, _Yaml)
        samples = (content.get("fewshot_config") or {}).get("samples")
        for sample in samples if isinstance(samples, list) else []:
            asked = str(next((sample[name] for name in _TEXTS if sample.get(name)), ""))
            answer = next((sample[name] for name in _ANSWERS if sample.get(name)), "")
            normal = tuple(words(asked))
            if normal and normal not in seen:
                seen.add(normal)
                family = file.relative_to(folder).parts[0]
                found.setdefault(family, []).append((asked, json.dumps(answer)))
    return found


def passages(packages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (package, paragraph) of the docstrings of installed packages, each paragraph once."""
    root = Path(site.getsitepackages()[0])
    seen: set[tuple[str, ...]] = set()
    for folder in (root / name for name in packages):
        for file in sorted(folder.rglob("*.py")):
            text = file.read_text(encoding="utf-8", errors="replace")
            for docstring in _DOCSTRING.findall(text):
                for paragraph in docstring.split("\n\n"):
                    normal = tuple(words(paragraph))
                    if len(normal) >= 5 and normal not in seen:
                        seen.add(normal)
                        yield folder.name, paragraph.strip()


def world_questions() -> Iterator[tuple[str, Text]]:
    """Yield the questions of the miniature's tasks, by task."""
    for file in sorted((Path(storm_tinyworld.__file__).parent / "tasks").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield file.stem, (row["instruction"], row["response"])


def world_rows(draw: random.Random) -> Iterator[Text]:
    """Yield chats on the miniature's skills, none of them a question of its tasks."""
    even = dict.fromkeys(DIFFICULTIES, 1.0)
    families = dict.fromkeys(EVERY_FAMILY, 1.0)
    for example in examples(draw, families, even, known=EVERY_FAMILY):
        yield example.instruction, example.response


def texts(
    draw: random.Random, rows: int, quick: bool
) -> tuple[dict[str, list[Text]], list[Text], list[Text]]:
    """Return the questions by kind, clean rows, and rows that turned out to be copies."""
    asked: dict[str, list[Text]] = {"benchmarks": [], "passages": [], "miniature": []}
    related: list[Text] = []
    for of_task in real_questions().values():
        shuffled = draw.sample(of_task, len(of_task))
        half = (len(shuffled) + 1) // 2
        asked["benchmarks"] += shuffled[:half]
        related += shuffled[half:]
    said: list[Text] = []
    for package, paragraph in passages(QUICK if quick else (*ASKED_OF, *OTHERS)):
        count = len(words(paragraph))
        prose = not _CODE.search(paragraph) and _LEAST <= count <= _MOST
        suited = prose and package in (QUICK if quick else ASKED_OF)
        if suited and draw.random() < 0.1:
            asked["passages"].append((f"Explain: {paragraph}", package))
        else:
            said.append((f"What do the authors of {package} say?", paragraph))
            if len(said) >= 2 * rows:
                break
    for _, question in world_questions():
        if len(words(question[0])) >= 5:
            asked["miniature"].append(question)
    draw.shuffle(said)
    copied = _copied(text for some in asked.values() for text, _ in some)
    copies = [row for row in (*related, *said) if copied(row)]
    related, said = ([row for row in some if not copied(row)] for some in (related, said))
    clean = related[: rows // 3]
    clean += said[: rows - rows // 4 - len(clean)]
    world = (row for row in world_rows(draw) if not copied(row))
    clean += itertools.islice(world, rows - len(clean))
    draw.shuffle(clean)
    return asked, clean[:rows], copies


def _copied(asked: Iterable[str]) -> Callable[[Text], bool]:
    """Return a function that returns whether a row has 13 words in a row with a question."""

    def runs(text: str) -> Iterator[tuple[str, ...]]:
        there = words(text)
        return zip(*(there[start:] for start in range(_COPY)), strict=False)

    known = {run for text in asked for run in runs(text)}
    return lambda row: any(run in known for run in runs("\n".join(row)))


def plant(
    draw: random.Random, asked: dict[str, list[Text]], leaks: int
) -> tuple[list[Question], dict[str, dict[str, Any]]]:
    """Return the questions, and the leaks by row: question, family, kind and the chat."""
    questions = [
        Question(f"{kind}-{number}", kind, text, answer)
        for kind, some in asked.items()
        for number, (text, answer) in enumerate(some)
    ]
    rows: dict[str, dict[str, Any]] = {}
    for family, change in LEAKS.items():
        for number, question in enumerate(draw.sample(questions, leaks)):
            rows[f"{family} {number}"] = {
                "family": family,
                "question": question,
                "chat": (change(question.text, draw), question.target),
            }
    return questions, rows


def chat(name: str, asked: str, answer: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"id": name, "messages": turns, "source": "benchmark"}


def holds(row: Text, question: Question) -> bool:
    """Return whether a row holds all words of a question in their order, whatever stands where."""
    inside, asked = (" ".join(words(text)) for text in ("\n".join(row), question.text))
    return f" {asked} " in f" {inside} "


class Trial:
    """One search, and what it found."""

    kinds: dict[str, int]
    """Questions by where they come from."""
    copies: int
    """Rows that have 13 words in a row with a question, and are no clean rows."""

    def __init__(self, clean: list[Text], leaks: dict[str, dict[str, Any]]) -> None:
        self.clean, self.leaks = clean, leaks

    def run(self, questions: list[Question], settings: Ngrams) -> None:
        """Search rows as the component does in a recipe, and read its hits."""
        with tempfile.TemporaryDirectory() as folder:
            data, asked = Dataset(Path(folder, "data")), Questions(Path(folder, "questions"))
            for artifact in (data, asked):
                artifact.directory.mkdir()
            rows = [chat(str(number), *row) for number, row in enumerate(self.clean)]
            rows += [chat(name, *leak["chat"]) for name, leak in self.leaks.items()]
            data.write("train", rows, chat_schema())
            asked.write(questions)
            del rows
            start = time.process_time()
            made = settings.run(make_stage(Path(folder)), data, [asked])
            self.seconds = time.process_time() - start
            self.summary = json.loads((made.directory / "decontamination.json").read_text())
            self._read(list(read_hits(made.directory)), {q.id: q for q in questions})

    def _read(self, hits: list[Hit], questions: dict[str, Question]) -> None:
        found = {(hit.row, hit.question) for hit in hits}
        self.found: Counter[str] = Counter()
        self.planted: Counter[str] = Counter()
        self.unsearched: Counter[str] = Counter()
        short = {name for entry in self.summary["not_searched"].values() for name in entry["ids"]}
        for name, leak in self.leaks.items():
            if leak["question"].id in short:
                self.unsearched[leak["family"]] += 1
                continue
            self.planted[leak["family"]] += 1
            self.found[leak["family"]] += (name, leak["question"].id) in found
        self.held: set[str] = set()
        self.alarms: dict[str, Hit] = {}
        for hit in hits:
            if hit.row in self.leaks:
                continue
            if holds(self.clean[int(hit.row)], questions[hit.question]):
                self.held.add(hit.row)
            else:
                self.alarms.setdefault(hit.row, hit)
        for row in self.held:
            self.alarms.pop(row, None)

    @property
    def false_alarm_rate(self) -> float:
        """The share of clean rows that are taken for leaks."""
        return len(self.alarms) / (len(self.clean) - len(self.held))

    def recall(self, family: str) -> float:
        """Return the share of a family's leaks that are found, with the question that they leak."""
        return self.found[family] / self.planted[family]


def tried(rows: int, leaks: int, seed: int, quick: bool, *settings: Ngrams) -> list[Trial]:
    """Return a trial of each settings, with the same clean rows and leaks of each family."""
    draw = random.Random(f"contamination {seed}")
    asked, clean, copies = texts(draw, rows, quick)
    questions, planted = plant(draw, asked, leaks)
    trials = [Trial(clean, planted) for _ in settings]
    for trial, each in zip(trials, settings, strict=True):
        trial.run(questions, each)
        trial.kinds = {kind: len(some) for kind, some in asked.items()}
        trial.copies = len(copies)
    return trials


def body(trial: Trial) -> str:
    """Return the table of recall, and what else was measured."""
    lines = [
        [
            family,
            f"{trial.recall(family):.3f} ({trial.found[family]} of {trial.planted[family]})",
            "1.0" if family in WHOLE else "as measured",
        ]
        for family in LEAKS
    ]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in trial.kinds.items())
    settings = {name: trial.summary[name] for name in ("n", "share", "least")}
    clean = len(trial.clean) - len(trial.held)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines += [
        [
            "false alarms",
            f"{len(trial.alarms)} of {clean:,} clean rows: {trial.false_alarm_rate:.1e}",
            "1e-4",
        ]
    ]
    return (
        table(["family", "found", "bar"], lines)
        + f"\n\n{trial.summary['questions']:,} questions ({kinds}), settings "
        + ", ".join(f"{name}={value}" for name, value in settings.items())
        + f". No clean rows are {trial.copies:,} that have 13 words in a row with a question "
        f"(copies), and {len(trial.held)} that hold all words of a shorter one. "
        f"{sum(trial.unsearched.values())} leaks are of questions that cannot be found, being too "
        f"short or a template. The search took {trial.seconds:.0f} s of a core's time, and "
        f"{memory:.2f} GiB at most, with all rows of the benchmark in memory."
    )


def main() -> None:
    """Plant, search and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--leaks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few packages; print only")
    parser.add_argument("--show", type=int, default=0, help="false alarms to print")
    given = parser.parse_args()
    (trial,) = tried(given.rows, given.leaks, given.seed, given.quick, Ngrams())
    for hit in itertools.islice(trial.alarms.values(), given.show):
        print(f"{hit.share:.2f} {hit.asked!r}\n     {hit.span!r}", file=sys.stderr)
    if given.quick:
        print(body(trial))
        return
    write_section("Contamination", "python benchmarks/contamination.py", body(trial), ("pyarrow",))


if __name__ == "__main__":
    main()

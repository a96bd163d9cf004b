"""Compare our checker of calls with that of bfcl-eval on every question of the wheel.

    storm-exp env create bfcl
    python benchmarks/function_calling.py

prints, per category and per kind of generated answer, how many each of the two accepts and on how
many they disagree, and every kind of disagreement with an example.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import subprocess
from pathlib import Path

from made_calls import answers
from storm_evaluation.function_calling.berkeley import berkeley, berkeley_folder
from storm_evaluation.function_calling.scoring import judge
from storm_evaluation.function_calling.suite import Expected, Suite
from storm_models.chat.tool_calls import CallSpelling, MalformedCall, ToolCall, parse_answer

CATEGORIES = (
    "simple_python",
    "multiple",
    "parallel",
    "parallel_multiple",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "irrelevance",
    "live_irrelevance",
    "live_relevance",
)
VERDICTS = Path(__file__).with_name("bfcl_verdicts.py")
NOTHING = {
    "the empty list": "[]",
    "prose": "I cannot.",
    "a malformed call": "<tool_call>{'tool_name': 'find', 'tool_arguments': </tool_call>",
}
"""Answers without a valid call."""


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """Both verdicts on one answer."""

    category: str
    question: str
    way: str
    """How the answer was generated."""
    text: str
    ours: str
    """The mistake; empty if the answer is right."""
    theirs: bool
    error: str

    @property
    def agree(self) -> bool:
        return (not self.ours) == self.theirs


def compare() -> list[Verdicts]:
    """Return the verdicts on all generated answers."""
    suite = Suite(berkeley_folder())
    judged: list[tuple[str, str, str, str, str]] = []
    requests: list[str] = []
    for category in CATEGORIES:
        expected = suite.expected(category)
        for number, question in enumerate(suite.questions(category)):
            if expected is Expected.calls:
                texts = [
                    (way, "".join(call.text(CallSpelling.python) for call in calls) or "[]")
                    for way, calls in answers(question)
                ]
            else:
                call = ToolCall(question.functions[0]["name"], {}) if question.functions else None
                texts = [*NOTHING.items()]
                texts += [("a call", call.text())] if call else []
            for way, text in texts:
                ours = judge(text, question, expected)
                judged.append((category, question.id, way, text, ours))
                requests.append(json.dumps([category, number, _calls(text)]))
    program = subprocess.run(
        [str(berkeley().python()), str(VERDICTS)],
        input="\n".join(requests) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    replies = [json.loads(line) for line in program.stdout.splitlines()]
    return [Verdicts(*one, *reply) for one, reply in zip(judged, replies, strict=True)]


def _calls(text: str) -> list[dict[str, object]]:
    """Return an answer's calls in the format of their checker; none if they are malformed."""
    try:
        return [{call.name: call.arguments} for call in parse_answer(text).calls]
    except MalformedCall:
        return []


def table(verdicts: list[Verdicts], by: str) -> str:
    """Return the counts per value of a field of the verdicts, as a table in Markdown."""
    groups = collections.defaultdict(list)
    for verdict in verdicts:
        groups[getattr(verdict, by)].append(verdict)
    head = f"| {by} | answers | ours accepts | theirs accepts | disagree |"
    rows = [
        f"| {name} | {len(group):,} | {sum(not v.ours for v in group):,} "
        f"| {sum(v.theirs for v in group):,} | {sum(not v.agree for v in group)} |"
        for name, group in groups.items()
    ]
    return "\n".join([head, "|---|--:|--:|--:|--:|", *rows])


def main() -> None:
    verdicts = compare()
    print(table(verdicts, "category"), table(verdicts, "way"), sep="\n\n")
    kinds = collections.defaultdict(list)
    for verdict in verdicts:
        if not verdict.agree:
            kinds[verdict.ours or "right", verdict.error].append(verdict)
    print(f"\n{sum(map(len, kinds.values()))} of {len(verdicts):,} disagree")
    for (ours, theirs), group in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        example = group[0]
        source = f"{example.question} ({example.way})"
        print(f"- {len(group)}: ours '{ours}', theirs '{theirs}': {source}")
        print(f"  {example.text[:300]}")


if __name__ == "__main__":
    main()

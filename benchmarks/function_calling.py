"""Our comparison of calls against the checker of bfcl-eval, on every question of the wheel.

    storm-exp env create bfcl
    python benchmarks/function_calling.py

prints, by category and by the way in which answers were made, how many each of the two accepts and
on how many they disagree, and every kind of disagreement with an example.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from made_calls import answers
from storm_evaluation.function_calling.asking import judge
from storm_evaluation.function_calling.berkeley import berkeley, berkeley_folder
from storm_evaluation.function_calling.suite import Expected, Suite
from storm_models.chat.tool_calls import CallSpelling, MalformedCall, ToolCall, read_said

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
    "words": "I cannot.",
    "a broken call": "<tool_call>{'tool_name': 'find', 'tool_arguments': </tool_call>",
}
"""Answers that call nothing."""


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """Of one answer, what both say."""

    category: str
    question: str
    way: str
    text: str
    ours: str
    """What is wrong; empty where it is right."""
    theirs: bool
    error: str

    @property
    def agree(self) -> bool:
        return (not self.ours) == self.theirs


def compare() -> list[Verdicts]:
    """Return the verdicts on every answer that is made."""
    suite = Suite(berkeley_folder())
    made: list[tuple[str, str, str, str, str]] = []
    asked: list[str] = []
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
                made.append((category, question.id, way, text, ours))
                asked.append(json.dumps([category, number, _called(text)]))
    program = subprocess.run(
        [str(berkeley().python()), str(VERDICTS)],
        input="\n".join(asked) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    replies = [json.loads(line) for line in program.stdout.splitlines()]
    return [Verdicts(*one, *reply) for one, reply in zip(made, replies, strict=True)]


def _called(text: str) -> list[dict[str, object]]:
    """Return an answer's calls as their checker takes them; none where it cannot be read."""
    try:
        return [{call.name: call.arguments} for call in read_said(text).calls]
    except MalformedCall:
        return []


def table(verdicts: list[Verdicts], by: str) -> str:
    """Return the counts by a field of the verdicts, as a table in Markdown."""
    found = collections.defaultdict(list)
    for verdict in verdicts:
        found[getattr(verdict, by)].append(verdict)
    head = f"| {by} | answers | ours accepts | theirs accepts | disagree |"
    rows = [
        f"| {name} | {len(own):,} | {sum(not v.ours for v in own):,} "
        f"| {sum(v.theirs for v in own):,} | {sum(not v.agree for v in own)} |"
        for name, own in found.items()
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
    for (ours, theirs), own in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        shown = own[0]
        print(f"- {len(own)}: ours '{ours}', theirs '{theirs}': {shown.question} ({shown.way})")
        print(f"  {shown.text[:300]}")


if __name__ == "__main__":
    sys.exit(main())

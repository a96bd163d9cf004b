"""Verdicts of bfcl-eval's checker, for its environment: python bfcl_verdicts.py, JSON lines.

An input line is [category, index of the question, calls as {name: arguments}], the output line
[valid, kind of error].
"""

from __future__ import annotations

import collections
import json
import sys
import types
from pathlib import Path

# The checker imports the table of hosted models with all their clients, which are not needed.
models = types.ModuleType("bfcl_eval.constants.model_config")


class _Model:
    underscore_to_dot = False


models.MODEL_CONFIG_MAPPING = collections.defaultdict(_Model)  # type: ignore[attr-defined]
sys.modules[models.__name__] = models

import bfcl_eval  # noqa: E402
from bfcl_eval.constants.enums import Language  # noqa: E402
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # noqa: E402

DATA = Path(bfcl_eval.__file__).parent / "data"


def read(name: str) -> list[dict]:  # type: ignore[type-arg]
    with (DATA / name).open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def main() -> None:
    known: dict[str, tuple[list, dict]] = {}  # type: ignore[type-arg]
    for line in sys.stdin:
        category, number, calls = json.loads(line)
        if category.endswith("relevance"):
            called = bool(calls)  # the check of their runner for an answer that could be decoded
            reply = [called != category.endswith("irrelevance"), "relevance"]
        else:
            if category not in known:
                file = f"BFCL_v4_{category}.json"
                answers = {a["id"]: a["ground_truth"] for a in read(f"possible_answer/{file}")}
                known[category] = read(file), answers
            questions, answers = known[category]
            question = questions[number]
            try:
                verdict = ast_checker(
                    question["function"],
                    calls,
                    answers[question["id"]],
                    Language.PYTHON,
                    category,
                    "made",
                )
                reply = [verdict["valid"], str(verdict.get("error_type"))]
            except Exception as error:
                reply = [False, f"raises {type(error).__name__}"]
        sys.stdout.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()

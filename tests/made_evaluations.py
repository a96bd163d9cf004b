"""What evaluations and their comparison say, as a report reads it."""

from __future__ import annotations

from made_up import Files


def evaluation(score: float) -> Files:
    entry = {"metric": "acc", "score": score, "stderr": 0.01, "n": 50, "higher_is_better": True}
    return {"tasks": {"lookup": entry}, "mean": score}


def comparison() -> Files:
    cell = {
        "difference": 0.25,
        "low": 0.125,
        "high": 0.375,
        "p": 0.0004,
        "p_holm": 0.0008,
        "test": "mcnemar",
    }
    cell |= {"better": 1, "verdict": "better"}
    entry = {"first": 0, "second": 1, "tasks": {"lookup": cell}, "mean": cell}
    return {
        "models": 2,
        "best": 1,
        "tasks": {"lookup": {"metric": "acc", "higher_is_better": True, "n": 50, "scores": []}},
        "mean": [{"score": 0.5, "stderr": 0.01}, {"score": 0.75, "stderr": 0.01}],
        "against_first": [entry],
        "pairs": [entry],
    }

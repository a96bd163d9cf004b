"""The form of a rated example, with the judge's prompt texts.

The preset ``conf/judge/tinyworld/rating.yaml`` has the same texts; a test compares them.
"""

from __future__ import annotations

from storm_tinyworld.skills.basic import DIFFICULTIES, Example

HEAD = "Rate:\n"
EXAMPLE = "{instruction}\n{response}\n"
EDUCATION = "Value?"
DIFFICULTY = "Level?"
DIFFICULTY_ANSWERS = {name: name[0] for name in DIFFICULTIES}


def education_chat(example: Example, answer: str, education: int) -> list[dict[str, str]]:
    """Return a chat that asks for an answer's educational value, 1 to 5, and gives it."""
    return _chat(example, answer, EDUCATION, str(education))


def difficulty_chat(example: Example, answer: str) -> list[dict[str, str]]:
    """Return a chat that asks for an example's difficulty, and gives its initial."""
    return _chat(example, answer, DIFFICULTY, DIFFICULTY_ANSWERS[example.difficulty])


def _chat(example: Example, answer: str, question: str, label: str) -> list[dict[str, str]]:
    shown = EXAMPLE.replace("{instruction}", example.instruction).replace("{response}", answer)
    return [
        {"role": "user", "content": HEAD + shown + question},
        {"role": "assistant", "content": label},
    ]

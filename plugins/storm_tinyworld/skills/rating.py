"""What a rated example looks like in this world: the one place that knows the judge's words.

The preset ``conf/judge/tinyworld/rating.yaml`` holds the same texts; a test compares them.
"""

from __future__ import annotations

from storm_tinyworld.skills.basic import DIFFICULTIES, Example

HEAD = "Rate:\n"
EXAMPLE = "{instruction}\n{response}\n"
EDUCATION = "Value?"
DIFFICULTY = "Level?"
DIFFICULTY_ANSWERS = {name: name[0] for name in DIFFICULTIES}


def education_chat(example: Example, answer: str, education: int) -> list[dict[str, str]]:
    """A chat in which an answer's educational value, 1 to 5, is asked for and given."""
    return _chat(example, answer, EDUCATION, str(education))


def difficulty_chat(example: Example, answer: str) -> list[dict[str, str]]:
    """A chat in which an example's difficulty is asked for and given by its initial."""
    return _chat(example, answer, DIFFICULTY, DIFFICULTY_ANSWERS[example.difficulty])


def _chat(example: Example, answer: str, question: str, label: str) -> list[dict[str, str]]:
    shown = EXAMPLE.replace("{instruction}", example.instruction).replace("{response}", answer)
    return [
        {"role": "user", "content": HEAD + shown + question},
        {"role": "assistant", "content": label},
    ]

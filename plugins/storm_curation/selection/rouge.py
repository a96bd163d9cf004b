"""ROUGE-L (Lin 2004): the longest common subsequence of an answer and the right one."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[^\W_]+")


def rouge_l(answer: str, right: str) -> float:
    """Return the F measure of the longest common subsequence of words, 0 to 1.

    Words are runs of letters and digits of any script, in lower case. Answers without words score 1
    if they are equal, else 0.
    """
    words, wanted = (_WORDS.findall(text.lower()) for text in (answer, right))
    if not words or not wanted:
        return float(words == wanted and answer.strip() == right.strip())
    common = longest_common(words, wanted)
    return 2 * common / (len(words) + len(wanted))


def longest_common(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence of two lists."""
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            above = lengths[index]
            lengths[index] = diagonal + 1 if word == other else max(above, lengths[index - 1])
            diagonal = above
    return lengths[-1]

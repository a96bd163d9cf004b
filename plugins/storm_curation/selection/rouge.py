"""How much of a right answer a model's answer shares, in order: ROUGE-L (Lin 2004)."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[^\W_]+")


def rouge_l(answer: str, right: str) -> float:
    """Return the F measure of the longest common subsequence of words, 0 to 1.

    Words are runs of letters and digits of any script, in lower case. Answers without words are
    alike where they are the same.
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
        for place, other in enumerate(second, start=1):
            above = lengths[place]
            lengths[place] = diagonal + 1 if word == other else max(above, lengths[place - 1])
            diagonal = above
    return lengths[-1]

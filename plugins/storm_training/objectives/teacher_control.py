"""Controls of distillation: teachers from which nothing of what they know can be learnt."""

from __future__ import annotations

from enum import Enum


class TeacherControl(Enum):
    """What is put in another order, anew at every pass, so that no order can be learnt.

    An order that stayed the same would be another name for every token: a student learns it, and
    its head with the rows put back is as good as an honest student's.
    """

    none = "none"
    """The teacher's answers where they belong."""
    positions = "positions"
    """Every position gets the teacher's answer to another one of the same pass. How often the
    teacher says a token can be learnt, not when."""
    vocabulary = "vocabulary"
    """The tokens of the vocabulary change places. The best that a student can do is to call all
    equally likely."""

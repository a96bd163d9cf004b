"""Control experiments of distillation: teachers whose knowledge is destroyed by shuffling."""

from __future__ import annotations

from enum import Enum


class TeacherControl(Enum):
    """What is shuffled in the teacher's outputs, with a new permutation in every pass.

    A fixed permutation would only rename the tokens: a student would learn it, and with the rows of
    its head permuted back it would be as good as one trained without the control.
    """

    none = "none"
    """Nothing."""
    positions = "positions"
    """Every position gets the teacher's distribution of another position of the same pass. The
    teacher's token frequencies can be learnt, but not its use of context."""
    vocabulary = "vocabulary"
    """The entries of the vocabulary are permuted. The best that a student can learn is the uniform
    distribution."""

"""mergekit's merge methods: the models and the parameters that each takes.

As `mergekit-yaml` 0.1.5 documents them, with its defaults.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from storm_exp import did_you_mean


class Base(enum.Enum):
    """What a method does with a base model."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"
    """It is one of the models, if it is named at all."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a method."""

    kind: type
    """float, int or bool."""
    default: Any = None
    """None: it must be given."""
    each: bool = False
    """Whether every model has its own."""
    at_least: float | None = None
    at_most: float | None = None
    optional: bool = False
    """Whether it may be left out, and is None then."""


@dataclasses.dataclass(frozen=True)
class Method:
    """A merge method."""

    base: Base
    fewest: int
    """Fewest models, without the base."""
    most: int | None
    """Most models, without the base; None: any number."""
    parameters: dict[str, Parameter]

    @property
    def own(self) -> dict[str, Parameter]:
        """Parameters of which every model has its own."""
        return {name: each for name, each in self.parameters.items() if each.each}

    @property
    def shared(self) -> dict[str, Parameter]:
        """Parameters of the merge."""
        return {name: each for name, each in self.parameters.items() if not each.each}


_WEIGHT = {"weight": Parameter(float, each=True)}
_DENSITY = {"density": Parameter(float, 1.0, each=True, at_least=0, at_most=1)}
_GAMMA = {"gamma": Parameter(float, 0.01, each=True, at_least=0, at_most=1)}
_EPSILON = {"epsilon": Parameter(float, 0.15, each=True, at_least=0, at_most=1)}
_MASK = {"int8_mask": Parameter(bool, False)}


def _task_vectors(*own: dict[str, Parameter], normalise: bool, rescale: bool) -> Method:
    parameters = {
        **_WEIGHT,
        **{name: parameter for each in own for name, parameter in each.items()},
        **_MASK,
        "normalize": Parameter(bool, normalise),
        "rescale": Parameter(bool, rescale),
        "lambda": Parameter(float, 1.0),
    }
    return Method(Base.REQUIRED, 1, None, parameters)


METHODS: dict[str, Method] = {
    "linear": Method(Base.NONE, 1, None, {**_WEIGHT, "normalize": Parameter(bool, True)}),
    "slerp": Method(Base.REQUIRED, 1, 1, {"t": Parameter(float, at_least=0, at_most=1)}),
    "nuslerp": Method(
        Base.OPTIONAL,
        2,
        2,
        {
            **_WEIGHT,
            "nuslerp_flatten": Parameter(bool, True),
            "nuslerp_row_wise": Parameter(bool, False),
        },
    ),
    "task_arithmetic": _task_vectors(normalise=False, rescale=False),
    "ties": _task_vectors(_DENSITY, normalise=True, rescale=False),
    "dare_linear": _task_vectors(_DENSITY, normalise=False, rescale=True),
    "dare_ties": _task_vectors(_DENSITY, normalise=False, rescale=True),
    "della": _task_vectors(_DENSITY, _EPSILON, normalise=True, rescale=True),
    "della_linear": _task_vectors(_DENSITY, _EPSILON, normalise=False, rescale=True),
    "breadcrumbs": _task_vectors(_DENSITY, _GAMMA, normalise=False, rescale=False),
    "breadcrumbs_ties": _task_vectors(_DENSITY, _GAMMA, normalise=False, rescale=False),
    "model_stock": Method(Base.REQUIRED, 2, None, {"filter_wise": Parameter(bool, False)}),
    "sce": Method(
        Base.REQUIRED,
        1,
        None,
        {**_MASK, "select_topk": Parameter(float, 1.0, at_least=0, at_most=1)},
    ),
    "karcher": Method(
        Base.NONE,
        1,
        None,
        {
            "max_iter": Parameter(int, 10, at_least=0),
            "tol": Parameter(float, 1e-5, at_least=0),
        },
    ),
    "nearswap": Method(Base.REQUIRED, 1, 1, {"t": Parameter(float, at_least=0)}),
    "arcee_fusion": Method(Base.REQUIRED, 1, 1, {}),
    "passthrough": Method(Base.NONE, 1, 1, {"scale": Parameter(float, each=True, optional=True)}),
}
NOT_HERE = ("multislerp", "ram", "ramplus_tl")
"""Methods of mergekit that are not computed here."""
PARAMETERS = frozenset(name for method in METHODS.values() for name in method.parameters)
"""The parameters of any method: one that a method does not take is without effect there."""


def unknown_method(name: str) -> str:
    """Return why a method is none of ours, with the nearest name."""
    if name in NOT_HERE:
        return (
            f"{name} is a method of mergekit that is not read here; merger=mergekit "
            f"merger.method={name} computes it with mergekit itself"
        )
    return f"no merge method '{name}'{did_you_mean(name, METHODS)}"

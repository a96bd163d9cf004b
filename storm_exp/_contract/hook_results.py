"""Results of plugins' hooks, checked against the annotations of the hooks' specifications."""

from __future__ import annotations

import builtins
import functools
import typing
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from storm_exp._contract.errors import PluginError
from storm_exp._contract.typed_json import build


def checked(what: str, specification: Any, hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that raises PluginError, about `what`, for a result of another type.

    None is no result, which every hook may return.
    """

    @functools.wraps(hook)
    def call(*arguments: Any) -> Any:
        result = hook(*arguments)
        try:
            build(_result_type(specification) | None, result)
        except ValueError:
            kind = specification.__annotations__["return"]
            raise PluginError(f"{what} returned {result!r:.100}, which should be {kind}") from None
        return result

    return call


@functools.cache
def _result_type(specification: Any) -> Any:
    """Return the annotation of a result, with `object` for names that are imported for types."""
    known = {**vars(builtins), **specification.__globals__}
    hints = typing.get_type_hints(specification, localns=defaultdict(lambda: object, known))
    return hints["return"]

"""Docstrings under the fields of a class: the only documentation of a setting."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Sequence
from typing import Any


def field_docstrings(cls: type) -> dict[str, str]:
    """Return the docstring of each field of a class, inherited fields included."""
    docstrings: dict[str, str] = {}
    for owner in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        except (OSError, TypeError):
            continue
        assert isinstance(tree, ast.ClassDef)
        for field, after in zip(tree.body, tree.body[1:], strict=False):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(text)):
                    docstrings[name] = inspect.cleandoc(str(text))
    return docstrings


def explain_field(cls: Any, names: Sequence[str]) -> str:
    """Return the first sentence of the docstring of a field or nested field; may be empty."""
    *outer, name = names
    for each in outer:
        cls = typing.get_type_hints(cls).get(each)
    text = field_docstrings(cls).get(name, "") if isinstance(cls, type) else ""
    sentence = " ".join(text.split()).split(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]

"""Bounds of settings: what is declared with a field is enforced wherever the field stands."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from storm_exp import Artifact, PluginError, SettingError, StageContext, component, setting
from storm_exp._contract.bounds import Bounds, read_bounds
from storm_exp._contract.plugins import load_plugins


class Thing(Artifact):
    """What the components here make."""


@dataclasses.dataclass(kw_only=True)
class Inner:
    depth: int = setting(1, at_least=1, unit="layers")


@component("menu", "bounded", version=1)
class Bounded:
    share: float = setting(0.5, at_least=0, at_most=1)
    rate: float = setting(1.0, above=0)
    beta: float = setting(0.9, at_least=0, below=1)
    rows: int | None = setting(None, at_least=1, unit="rows")
    way: str = setting("up", one_of=("up", "down"))
    ways: list[str] = setting(["up"], one_of=("up", "down"))
    points: dict[str, list[float]] = setting({}, at_least=0)
    inner: Inner = dataclasses.field(default_factory=Inner)

    def __post_init__(self) -> None:
        self.halves = 2 / self.rate

    def run(self, stage: StageContext) -> Thing:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"share": 1.5}, "share=1.5: must be between 0 and 1"),
        ({"share": math.nan}, "share=nan: must be between 0 and 1"),
        ({"rate": 0}, "rate=0: must be above 0"),
        ({"beta": 1}, "beta=1: must be at least 0 and below 1"),
        ({"rows": 0}, "rows=0: must be at least 1 (rows), or null"),
        ({"way": "dwn"}, "way='dwn': must be one of up, down; did you mean 'down'?"),
        ({"ways": ["up", "left"]}, "ways.1='left': must be one of up, down"),
        ({"points": {"mlp": [0.0, -1]}}, "points.mlp.1=-1: must be at least 0"),
        ({"points": {"mlp": ["much"]}}, "points.mlp.0='much': must be at least 0"),
        ({"inner": Inner(depth=0)}, "inner.depth=0: must be at least 1 (layers)"),
    ],
)
def test_a_value_outside_its_bounds_is_refused_before_anything_uses_it(values, complaint):
    with pytest.raises(SettingError) as error:
        Bounded(**values)
    assert str(error.value) == complaint


def test_a_field_that_a_subclass_restates_keeps_its_bounds():
    @component("menu", "restated", version=1)
    class Restated(Bounded):
        share: float = 0.1

    with pytest.raises(SettingError, match="share=2: must be between 0 and 1"):
        Restated(share=2)


def test_null_and_interpolations_that_are_not_resolved_yet_are_let_through():
    assert Bounded(rows=None, share="${share}").rows is None


@pytest.mark.parametrize(
    ("bounds", "complaint"),
    [
        ({"at_least": 2, "at_most": 1}, "no number is between 2 and 1"),
        ({"above": 1, "below": 1}, "no number is above 1 and below 1"),
        ({"at_least": 1, "below": 1}, "no number is at least 1 and below 1"),
        ({"one_of": "xyz"}, r"one_of='xyz' is a text; a tuple of one value is \('xyz',\)"),
        ({"one_of": (1, 2), "at_least": 1}, "one_of and limits exclude each other"),
    ],
)
@pytest.mark.parametrize("default", [dataclasses.MISSING, 1])
def test_bounds_that_admit_nothing_break_the_contract(bounds, complaint, default):
    def run(self: Any, stage: StageContext) -> Thing:
        return Thing(stage.directory)

    share = (int, setting(default, **bounds))
    within = dataclasses.make_dataclass("Within", [("share", *share)], kw_only=True)
    members = (list[within], setting([]))
    for name, (hint, field) in {"share": share, "members": members}.items():
        body = {"__annotations__": {name: hint}, name: field, "run": run}
        with pytest.raises(PluginError, match=rf"(Impossible|Within)\.share: {complaint}"):
            component("menu", "impossible", version=1)(type("Impossible", (), body))


def test_bounds_that_meet_admit_what_they_share():
    assert Bounds(at_least=1, at_most=1).admit(1)
    assert not Bounds(at_least=1, at_most=1).fault()


def test_a_default_outside_its_bounds_breaks_the_contract():
    with pytest.raises(PluginError, match=r"share=2.*this is the default"):

        @component("menu", "unfit", version=1)
        class Unfit:
            share: float = setting(2, at_most=1)

            def run(self, stage: StageContext) -> Thing:
                raise NotImplementedError


def bounded_settings() -> Iterator[tuple[str, type, str, Any, Bounds]]:
    """Yield (component, class, dotted name, annotation, bounds) of all that plugins declare."""

    def walk(cls: type, within: str) -> Iterator[tuple[str, Any, Bounds]]:
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            bounds = read_bounds(cls, field.name, hints[field.name])
            if bounds is not None:
                yield f"{within}{field.name}", hints[field.name], bounds
            if dataclasses.is_dataclass(hints[field.name]):
                yield from walk(hints[field.name], f"{within}{field.name}.")

    for found in load_plugins().components.values():
        for path, hint, bounds in walk(found.cls, ""):
            yield found.name, found.cls, path, hint, bounds


def outside(bounds: Bounds) -> st.SearchStrategy[Any]:
    """Return values that bounds exclude, by reading them another way than the engine does."""
    if bounds.one_of:
        return st.text("xyz", min_size=1).map(lambda text: f"not {text}")
    beyond = []
    if bounds.at_least is not None:
        beyond.append(st.integers(max_value=math.ceil(bounds.at_least) - 1))
    if bounds.above is not None:
        beyond.append(st.integers(max_value=math.floor(bounds.above)))
    if bounds.at_most is not None:
        beyond.append(st.integers(min_value=math.floor(bounds.at_most) + 1))
    if bounds.below is not None:
        beyond.append(st.integers(min_value=math.ceil(bounds.below)))
    return st.one_of(beyond) if beyond else st.nothing()


def shaped(hint: Any, value: Any) -> Any:
    """Return a value as the one member of the lists and dicts that an annotation asks for."""
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        return {"name": shaped(arms[1], value)}
    return [shaped(arms[0], value)] if origin is list else value


@limits(max_examples=10, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(
    ("cls", "path", "hint", "bounds"),
    [
        pytest.param(*rest, id=f"{name}.{rest[1]}")
        for name, *rest in bounded_settings()
        if str(rest[3])
    ],
)
def test_every_bound_that_a_component_declares_is_enforced(cls, path, hint, bounds, data):
    value = shaped(hint, data.draw(outside(bounds)))
    first, *inner = path.split(".")
    values = {first: value}
    if inner:
        holder = typing.get_type_hints(cls)[first]
        part = holder.__new__(holder)  # its own checks, if it has any, are not what is tested
        for field in dataclasses.fields(holder):
            default = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            setattr(part, field.name, default)
        assert len(inner) == 1
        setattr(part, inner[0], value)
        values = {first: part}
    with pytest.raises(SettingError) as error:
        cls(**values)
    assert error.value.setting.startswith(path)
    assert str(bounds) in str(error.value)

"""The contract of a component, which holds when its module is imported."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any, Literal

import pytest

from hydra_plugins.storm_exp_hydra.components import default_settings
from storm_exp import Artifact, PluginError, StageContext, component, describe, setting


class Thing(Artifact):
    """What the components here make."""


def a_component(annotation: Any, default: Any) -> type:
    """Return a component with one setting."""

    def run(self: Any, stage: StageContext) -> Thing:
        raise NotImplementedError

    run.__annotations__ = {"stage": StageContext, "return": Thing}
    field = dataclasses.field(default_factory=lambda: default)
    body = {"__annotations__": {"option": annotation}, "option": field, "run": run}
    return component("menu", "name", version=1)(type("Odd", (), body))


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Inner:
    depth: int = 1


@dataclasses.dataclass
class BadInner:
    place: Path = Path()


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (int, 1),
        (str | None, None),
        (Colour, Colour.RED),
        (list[int], [1]),
        (dict[str, list[float]], {"q_proj": [0.0, 1.0]}),
        (Inner, Inner()),
    ],
)
def test_scalars_enums_containers_and_dataclasses_are_settings(annotation, default):
    assert describe(a_component(annotation, default)).name == "name"


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (Path, Path()),
        (Literal["a", "b"], "a"),
        (tuple[int, int], (1, 2)),
        (int | list[int], 1),
        (Inner | None, None),
        (BadInner, BadInner()),
        (dict[int, str], {}),
        (bytes, b""),
        (int, "one"),
    ],
)
def test_what_hydra_or_a_key_cannot_hold_is_refused_at_import(annotation, default):
    with pytest.raises(PluginError, match="Odd"):
        a_component(annotation, default)


def test_defaults_that_a_configuration_cannot_hold_are_refused_when_chosen():
    chosen = a_component(dict[str, int], {"a": "one"})
    with pytest.raises(PluginError, match=r"Odd: .*'one'.* Integer"):
        default_settings(describe(chosen))


def test_ports_are_read_off_the_signature():
    @component(("one", "two"), "several", version=2)
    class Several:
        def run(
            self, stage: StageContext, first: Thing, rest: list[Thing], last: Thing | None = None
        ) -> Thing:
            raise NotImplementedError

    spec = describe(Several)
    assert spec.menus == ("one", "two")
    assert {p.name: (p.artifact, p.many, p.optional) for p in spec.ports.values()} == {
        "first": (Thing, False, False),
        "rest": (Thing, True, False),
        "last": (Thing, False, True),
    }


def test_a_class_without_run_is_refused():
    with pytest.raises(PluginError, match="run is missing"):
        component("menu", "name", version=1)(type("Empty", (), {}))


def test_a_port_that_is_no_artifact_is_refused():
    with pytest.raises(PluginError, match="the port `size` must be X or list"):

        @component("menu", "name", version=1)
        class Sized:
            def run(self, stage: StageContext, size: int) -> Thing:
                raise NotImplementedError


def test_a_result_that_is_no_artifact_is_refused():
    with pytest.raises(PluginError, match="return annotation"):

        @component("menu", "name", version=1)
        class Silent:
            def run(self, stage: StageContext) -> None:
                raise NotImplementedError


def test_a_list_default_is_not_shared():
    @component("menu", "name", version=1)
    class Listed:
        names: list[str] = setting(["a"])

        def run(self, stage: StageContext) -> Thing:
            raise NotImplementedError

    first, second = Listed(), Listed()
    first.names.append("b")
    assert second.names == ["a"]


def test_settings_are_given_by_keyword():
    with pytest.raises(TypeError):
        a_component(int, 1)(2)


def test_a_class_that_is_no_component_is_named():
    with pytest.raises(PluginError, match="Thing is not decorated with @component"):
        describe(Thing)

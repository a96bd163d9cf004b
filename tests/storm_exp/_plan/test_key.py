"""Keys cover everything that determines an artifact, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storm_exp import (
    Artifact,
    PluginError,
    StageContext,
    component,
    describe,
    setting,
    value_digest,
)
from storm_exp._contract.digest import canonical_json
from storm_exp._contract.setting_values import semantic_settings
from storm_exp._plan.key import artifact_key


class Thing(Artifact):
    """What the components here make."""


def keys(plan, *overrides: str) -> dict[str, str]:
    """Return the keys of a plan, by stage."""
    return {node.label: node.key for node in plan(*overrides).nodes.values()}


def test_the_format_of_keys_is_stable(plan):
    # A change here orphans what every user has in the store: raise FORMAT of store.py, and say so.
    found = keys(plan, "recipe=sum", "source=settled")
    assert {stage: key[:12] for stage, key in found.items()} == {
        "source": "6005b6a4431f",
        "adder": "e6d8493c51ae",
        "other": "92011a690c5c",
        "total": "974af30fb8e1",
    }


def test_the_same_recipe_has_the_same_keys_everywhere(plan, tmp_path):
    here = keys(plan, "recipe=sum")
    elsewhere = keys(plan, "recipe=sum", f"store.path={tmp_path}/far/away", "outputs=out")
    assert here == elsewhere


def test_no_path_enters_a_key(plan, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("5", encoding="utf-8")
    first = keys(plan, "recipe=sum", "source=from_file", "source.path=a.txt")
    second = keys(plan, "recipe=sum", "source=from_file", f"source.path={tmp_path}/b.txt")
    assert first == second


def test_the_contents_of_a_file_outside_enter_the_key(plan, tmp_path):
    (tmp_path / "a.txt").write_text("5", encoding="utf-8")
    first = keys(plan, "recipe=sum", "source=from_file", "source.path=a.txt")
    (tmp_path / "a.txt").write_text("6", encoding="utf-8")
    assert keys(plan, "recipe=sum", "source=from_file", "source.path=a.txt") != first


def test_two_files_in_nested_settings_have_two_keys(storm, tmp_path, values):
    (tmp_path / "a.txt").write_text("5", encoding="utf-8")
    (tmp_path / "b.txt").write_text("6", encoding="utf-8")
    swaps = ("source=from_nested", "source.place.path=a.txt", "+source@second=from_nested")
    ports = ("second.place.path=b.txt", "+graph.second={}", "graph.total.numbers=[source,second]")
    assert storm("recipe=sum", *swaps, *ports).code == 0
    assert values()["total"] == 11


def test_nested_settings_follow_the_rules_of_settings(plan, record, storm, tmp_path):
    (tmp_path / "a.txt").write_text("5", encoding="utf-8")
    nested = ("recipe=sum", "source=from_nested", "source.place.path=a.txt")
    (source,) = (n for n in plan(*nested).nodes.values() if n.label == "source")
    assert semantic_settings(source.settings) == {}, "nothing of it is left"
    (wider,) = (
        n for n in plan(*nested, "source.place.margin=2").nodes.values() if n.label == "source"
    )
    assert semantic_settings(wider.settings) == {"place": {"margin": 2}}
    assert wider.key != source.key
    assert storm(*nested).code == 0
    assert record().cells[0].stages[0].settings == {"place": {"path": "a.txt", "margin": 0}}


def test_two_files_of_one_component_have_two_keys(plan, tmp_path):
    (tmp_path / "a.txt").write_text("5", encoding="utf-8")
    (tmp_path / "b.txt").write_text("6", encoding="utf-8")
    swaps = ("source=from_file", "source.path=a.txt", "source@second=from_file")
    found = keys(plan, "recipe=each", *swaps, "second.path=b.txt")
    assert found["source"] != found["second"]


@pytest.mark.parametrize(
    "override",
    [
        "source.ratio=0.6",
        "source.count=5",
        "source.title=x",
        "source.shape=SQUARE",
        "source.parts=[2,1]",
        "source.weights={x: 2.0}",
        "source.inner.depth=3",
        "source.inner.names=[a,b]",
        "source.margin=1",
    ],
)
def test_every_semantic_setting_enters_the_key_and_what_follows(plan, override):
    before = keys(plan, "recipe=sum", "source=settled")
    after = keys(plan, "recipe=sum", "source=settled", override)
    assert all(before[stage] != after[stage] for stage in before)


@pytest.mark.parametrize(
    "override",
    [
        "source.workers=8",
        "source.margin=0",
        "source.ratio=0.50",
        "source.ratio=5e-1",
        "source.weights={x: 1}",
        "source.shape=ROUND",
        "seed=5",
        "runtime.threads=3",
    ],
)
def test_what_changes_nothing_leaves_the_keys_alone(plan, override):
    before = keys(plan, "recipe=sum", "source=settled")
    assert keys(plan, "recipe=sum", "source=settled", override) == before


def test_an_int_for_a_float_is_the_same_float(plan):
    assert keys(plan, "recipe=sum", "adder.amount=3") == keys(
        plan, "recipe=sum", "adder.amount=3.0"
    )


def test_the_name_of_a_stage_is_not_in_its_key(plan):
    found = keys(plan, "recipe=each", "source@second=number")
    assert "second" not in found or found["second"] == found["source"]


def test_the_order_of_a_dict_does_not_matter(plan):
    added = ["+source.weights.y=2", "+source.weights.z=3"]
    first = keys(plan, "recipe=sum", "source=settled", *added)
    assert keys(plan, "recipe=sum", "source=settled", *reversed(added)) == first


def test_a_seed_moves_all_or_one(plan):
    drawn = ("recipe=each", "source=drawn", "source@second=drawn", "source.seed=1", "seed=2")
    base = keys(plan, *drawn)
    assert keys(plan, *drawn, "seed=3")["source"] == base["source"]
    assert keys(plan, *drawn, "seed=3")["second"] != base["second"]
    assert keys(plan, *drawn, "second.seed=2") == base


def test_a_new_setting_with_a_neutral_value_orphans_nothing():
    @component("menu", "grown", version=1)
    class Before:
        size: int = 1

        def run(self, stage: StageContext) -> Thing:
            raise NotImplementedError

    @component("menu", "grown", version=1)
    class After:
        size: int = 1
        margin: float = setting(0.0, neutral=0.0)
        workers: int = setting(4, semantic=False)

        def run(self, stage: StageContext) -> Thing:
            raise NotImplementedError

    def key(made: object) -> str:
        return artifact_key(describe(type(made)), semantic_settings(made), {}, None)

    assert key(Before()) == key(After())
    assert key(Before()) == key(After(workers=9))
    assert key(Before()) != key(After(margin=0.5))
    assert key(Before()) != key(After(size=2))


def test_name_version_inputs_and_fingerprint_enter_the_key():
    @component("menu", "first", version=1)
    class First:
        def run(self, stage: StageContext) -> Thing:
            raise NotImplementedError

    spec = describe(First)
    renamed = dataclasses.replace(spec, name="other")
    raised = dataclasses.replace(spec, version=2)
    inputs = {"a": "1", "b": "2"}
    found = [
        artifact_key(spec, {}, inputs, None),
        artifact_key(renamed, {}, inputs, None),
        artifact_key(raised, {}, inputs, None),
        artifact_key(spec, {}, {"a": "2", "b": "1"}, None),
        artifact_key(spec, {}, {"a": ["1"], "b": "2"}, None),
        artifact_key(spec, {}, {"a": "1"}, None),
        artifact_key(spec, {}, inputs, "digest"),
    ]
    assert len(set(found)) == len(found)
    assert artifact_key(spec, {}, {"b": "2", "a": "1"}, None) == found[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes", {1, 2}])
def test_what_is_not_json_cannot_enter_a_key(value):
    @component("menu", "odd", version=1)
    class Odd:
        def run(self, stage: StageContext) -> Thing:
            raise NotImplementedError

    with pytest.raises(PluginError, match="component 'odd': its key is not JSON"):
        artifact_key(describe(Odd), {"x": value}, {}, None)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=4), st.randoms())
def test_equal_values_have_one_digest_in_whatever_order(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert value_digest(dict(items)) == value_digest(value)


@settings(max_examples=50, deadline=None)
@given(json_values, json_values)
def test_different_values_have_different_texts(one, other):
    assert (canonical_json(one) == canonical_json(other)) == (repr_of(one) == repr_of(other))


def repr_of(value: object) -> str:
    """Return a text that tells 1, 1.0 and True apart and forgets the order of dicts."""
    if isinstance(value, dict):
        return f"dict {sorted((name, repr_of(item)) for name, item in value.items())}"
    if isinstance(value, list):
        return str([repr_of(item) for item in value])
    return repr(value)

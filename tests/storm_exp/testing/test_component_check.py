"""check_component: sound components pass, and each broken rule is told in plain words."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from storm_exp import Spec, StageContext, component
from storm_exp.testing import check_component, make_stage, toys
from storm_exp.testing.toys import Value, write_value


@pytest.fixture
def number(tmp_path) -> Value:
    """A number that was made."""
    return write_value(make_stage(tmp_path, "number"), 3.0)


def test_the_toys_keep_their_contract(tmp_path, number):
    (tmp_path / "file").write_text("4", encoding="utf-8")
    checked = [
        (toys.Number(value=2.0), {}),
        (toys.Drawn(seed=1), {}),
        (toys.FromFile(path=str(tmp_path / "file")), {}),
        (toys.Word(), {}),
        (toys.Add(amount=2.0), {"number": number}),
        (toys.Weighted(), {"number": number, "weight": number}),
        (toys.Fussy(), {"number": number}),
        (toys.Slow(seconds=0.01), {"number": number}),
        (toys.Collect(factor=2.0), {"numbers": [number, number]}),
    ]
    assert [type(settings) for settings, _ in checked] == toys.storm_components()
    for settings, inputs in checked:
        made = check_component(settings, tmp_path / type(settings).__name__, **inputs)
        assert any(made.directory.iterdir())


def test_inputs_may_be_given_by_the_order_of_the_ports(tmp_path, number):
    made = check_component(toys.Weighted(), tmp_path, number, number, fresh=False)
    assert isinstance(made, Value) and made.read() == 9.0


ALONE = [
    ("Undescribed", ["Undescribed has no docstring", "write below `class Undescribed:`"]),
    ("Silent", ["nobody says what these settings are: value", "docstring under each field"]),
    (
        "RefusesByValueError",
        ["with value=-1.0 ends in ValueError: must not be negative", "SettingError('value'"],
    ),
    ("DividesByIt", ["with value=0.0", "ZeroDivisionError", "raise SettingError('value'"]),
    (
        "NamesNoSetting",
        ["with value=-1.0 is refused by 'that is too little', which names no setting"],
    ),
    ("NamesAnotherSetting", ["a SettingError on 'amount', which is no setting of it"]),
    ("MakesAnotherType", ["run returned Text(", "not Value"]),
    ("ImportsWhenPlanned", ["planning it imports numpy (", "faulty.py:", "inside `run`"]),
    ("DependsOnTheProcess", ["in an interpreter of its own: running it failed", "RuntimeError"]),
    ("DrawsAnew", ["made other files", "value.json", "follows from a setting `seed`"]),
    ("TellsTheTime", ["made other files", "dates, durations"]),
    ("TellsThePlace", ["made other files", "text.txt", "absolute paths stay out"]),
    ("WritesASet", ["made other files", "what comes from a set is sorted"]),
]
"""Components without ports, and what is to be said of each."""


@pytest.mark.parametrize(("name", "parts"), ALONE, ids=[name for name, _ in ALONE])
def test_a_broken_rule_is_told_with_what_would_be_right(tmp_path, monkeypatch, name, parts):
    from storm_toys import faulty

    monkeypatch.setitem(faulty.STATE, "ready", True)
    cls = getattr(faulty, name)
    settings = cls(seed=1) if name == "DrawsAnew" else cls()
    with pytest.raises(AssertionError) as raised:
        check_component(settings, tmp_path)
    for part in (name, *parts):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("TakesAnything", ["the port `thing` takes any artifact"]),
        ("PlansAnotherPort", ["plan_spec asks for value", "named after the ports of `run`"]),
        ("PlansWhatMayBeMissing", ["plan_spec asks for number", "a default for one that is"]),
    ],
)
def test_a_port_that_fits_no_plan_is_told(tmp_path, number, name, parts):
    from storm_toys import faulty

    with pytest.raises(AssertionError) as raised:
        check_component(getattr(faulty, name)(), tmp_path, number)
    for part in (name, *parts):
        assert part in str(raised.value)


def test_a_plan_that_disagrees_with_what_was_made_is_told(tmp_path, number):
    from storm_toys.faulty import PlansOtherwise

    check_component(PlansOtherwise(factor=1.0), tmp_path / "agrees", [number], fresh=False)
    with pytest.raises(AssertionError, match=r"value was to be 3\.0 and is 6\.0"):
        check_component(PlansOtherwise(), tmp_path, [number])


@dataclasses.dataclass(kw_only=True)
class Described(Spec):
    config: dict[str, int] | None = None


def test_of_an_object_what_contradicts_is_told():
    planned = Described(config={f"size_{number}": number for number in range(30)})
    made = Described(config={**planned.config, "size_7": 8, "more": 1})
    told = "config was to be {'size_7': 7} and is {'size_7': 8, 'more': 1}"
    assert planned.contradictions(made) == [told]
    assert planned.contradictions(Described()) == Described().contradictions(made) == []


def test_a_module_that_imports_heavy_packages_is_told_and_the_list_is_ours(tmp_path):
    from storm_toys.heavy import ImportsAtOnce

    with pytest.raises(AssertionError, match=r"planning it imports numpy \(.*heavy\.py:3\)"):
        check_component(ImportsAtOnce(), tmp_path)
    check_component(ImportsAtOnce(), tmp_path / "light", heavy=("torch",))


def test_a_setting_that_only_a_configuration_resolves_is_told(tmp_path):
    with pytest.raises(AssertionError, match=r"Drawn\.seed is '\$\{seed\}'.*Drawn\(seed=…\)"):
        check_component(toys.Drawn(), tmp_path)


def test_a_component_that_no_other_interpreter_can_import_is_told(tmp_path):
    @component("faulty", "local", version=1)
    class Local:
        """A number."""

        def run(self, stage: StageContext) -> Value:
            return write_value(stage, 1)

    with pytest.raises(AssertionError, match=r"Local.*cannot be pickled.*a module"):
        check_component(Local(), tmp_path)


def test_files_that_are_taken_where_they_lie_are_the_same_by_that(tmp_path, number):
    from storm_toys.sources import Adopted

    lasting = tmp_path / "lasting"
    shutil.copytree(number.directory, lasting)
    made = check_component(Adopted(path=str(lasting)), tmp_path)
    assert made.directory == lasting


def test_what_is_not_given_and_what_no_port_takes_is_told(tmp_path, number):
    with pytest.raises(AssertionError, match=r"Add has the ports number: give an artifact"):
        check_component(toys.Add(), tmp_path)
    with pytest.raises(AssertionError, match=r"Add has no port 'numbr'; did you mean 'number'\?"):
        check_component(toys.Add(), tmp_path, number, numbr=number)
    with pytest.raises(AssertionError, match=r"is not decorated with @component: give an inst"):
        check_component(object(), tmp_path)

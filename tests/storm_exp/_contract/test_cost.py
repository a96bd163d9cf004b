"""What a plan says that a run will cost, and what it refuses."""

from __future__ import annotations

import pytest

from storm_exp import Runtime, SettingError
from storm_models.estimate.hardware import ACCELERATORS, Hardware, check_accelerator

COSTLY = ("recipe=sum", "adder=costly", "source.value=7")


def estimates(out: str) -> dict[str, list[str]]:
    """Return the rows of the table of estimates, by their first word."""
    lines = out.split("\nestimate ")[1].split("\nassumed:")[0].splitlines()
    return {line.split()[0]: line.split()[1:] for line in ["estimate " + lines[0], *lines[1:]]}


def test_a_plan_shows_what_components_say_they_take(storm):
    rows = estimates(storm("plan", *COSTLY).out)
    assert rows["estimate"] == ["tokens", "FLOPs", "memory", "disk", "cpu", "hours"]
    rows = estimates(storm("plan", *COSTLY, "runtime.accelerator=h100").out)
    assert rows["adder"] == ["7", "1.42e+18", "60", "GiB", "8", "B", "1.00"]
    assert rows["all"] == ["1.42e+18", "1.00"]
    assert set(rows) == {"estimate", "adder", "all"}


def test_what_the_sum_of_hours_lacks_is_said(storm):
    arguments = (*COSTLY, "adder@other=of_unknown_length", "runtime.accelerator=h100")
    plan = storm("plan", *arguments)
    assert plan.code == 0, plan.err
    said = plan.out
    assert "all that is known" in said
    assert "not in the sum, as their time is unknown: 1 other\n" in said
    assert "not in the sum" not in storm("plan", *COSTLY, "runtime.accelerator=h100").out


def test_rows_of_a_sweep_say_of_which_cells_they_are(storm, tmp_path):
    said = storm("plan", "-m", *COSTLY, "adder.amount=1,2", "total.factor=1,2").out
    told = [line.split("  ")[0] for line in said.splitlines()]
    assert told.count("adder · adder.amount=1") == told.count("adder · adder.amount=2") == 2
    assert told.count("total · adder.amount=1 · total.factor=2") == 1
    assert told.count("source") == 1
    assert not (tmp_path / "outputs").exists()


def test_hours_follow_the_card_and_the_share_of_it_that_is_used(storm):
    said = storm("plan", *COSTLY, "runtime.accelerator=h200", "runtime.utilisation=0.2")
    assert estimates(said.out)["all"][-1] == "2.00"
    assert "assumed: 20% of 989 TFLOP/s; a toy (adder)" in said.out


def test_what_does_not_fit_is_told_and_refused_on_a_card_that_was_named(storm, tmp_path):
    for arguments in (("plan", *COSTLY), COSTLY):
        said = storm(*arguments, "runtime.accelerator=l40s")
        assert said.code == 1
        assert (
            "too large for l40s, which has 44 GiB on each device: adder needs about 60" in said.err
        )
    assert not (tmp_path / "outputs/store/artifacts").exists()
    said = storm("plan", *COSTLY, "runtime.accelerator=l40s", "runtime.devices=2")
    assert said.code == 0
    assert estimates(said.out)["adder"][2:4] == ["30", "GiB"]
    assert "memory on each of 2 devices" in said.out


def test_what_is_kept_costs_nothing(storm):
    assert storm(*COSTLY).code == 0
    assert "estimate" not in storm("plan", *COSTLY).out
    assert "estimate" not in storm("plan", "recipe=sum").out


def test_cells_of_a_sweep_share_what_they_share(storm):
    said = storm("plan", "-m", *COSTLY, "total.factor=1,2", "runtime.accelerator=h100")
    assert estimates(said.out)["all"][-1] == "1.00"
    said = storm("plan", "-m", *COSTLY, "adder.amount=1,2", "runtime.accelerator=h100")
    assert estimates(said.out)["all"][-1] == "2.00"


def test_a_place_is_a_card_at_full_size_and_else_this_machine():
    assert Hardware.of(Runtime(), full_size=True).accelerator == ACCELERATORS["h100"]
    here = Hardware.of(Runtime(threads=3), full_size=False)
    assert (here.gpu, here.accelerator.flops) == (False, 3 * ACCELERATORS["cpu"].flops)
    assert not Hardware.of(Runtime(device="cpu"), full_size=True).gpu
    assert Hardware.of(Runtime(device="cuda:1"), full_size=False).gpu


def test_weights_are_divided_as_training_divides_them():
    assert Hardware.of(Runtime(accelerator="h100", devices=4), full_size=False).sharded
    ddp = Runtime(accelerator="h100", devices=4, strategy="ddp")
    assert not Hardware.of(ddp, full_size=False).sharded
    assert not Hardware.of(Runtime(devices=4), full_size=False).sharded
    assert Hardware.of(Runtime(devices=2, nodes=2, strategy="fsdp"), full_size=False).devices == 4


@pytest.mark.parametrize(
    "settings", [{"accelerator": "h10"}, {"utilisation": 0.0}, {"utilisation": 1.5}], ids=str
)
def test_a_card_that_does_not_exist_and_shares_that_cannot_be_are_refused(settings):
    (name,) = settings
    with pytest.raises(SettingError, match=f"{name}="):
        check_accelerator(Runtime(**settings))

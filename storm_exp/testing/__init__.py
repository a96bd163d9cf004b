"""For the tests of people who build on the engine."""

from storm_exp.testing import toys
from storm_exp.testing.command_line import CommandResult, plan, run
from storm_exp.testing.component_check import HEAVY, check_component
from storm_exp.testing.installation import installed
from storm_exp.testing.stage import make_stage, run_component

__all__ = [
    "HEAVY",
    "CommandResult",
    "check_component",
    "installed",
    "make_stage",
    "plan",
    "run",
    "run_component",
    "toys",
]

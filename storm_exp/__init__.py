"""storm-exp: recipes that make small language models better, declared, kept and measured."""

import sys

from storm_exp._contract.interpreter import complaint as _find_complaint

_complaint = _find_complaint()
if _complaint:
    if sys.argv[:1] == ["-m"]:  # `python -m storm_exp`, which looks for the package just now
        sys.exit(f"error: {_complaint}")
    raise ModuleNotFoundError(_complaint)

from storm_exp._compose.presets import preset_folders
from storm_exp._contract import plugin_hooks as _contract_hooks
from storm_exp._contract.api_version import API_VERSION
from storm_exp._contract.artifact import Artifact, Memos, Spec
from storm_exp._contract.bounds import Bounds, check_bounds, read_bounds
from storm_exp._contract.component import Component, Port, component, describe, setting
from storm_exp._contract.cost import Cost
from storm_exp._contract.digest import FileDigests, value_digest
from storm_exp._contract.docstrings import field_docstrings
from storm_exp._contract.errors import (
    ComposeError,
    GraphError,
    InputError,
    PlanError,
    PluginError,
    SettingError,
    StageError,
    StoreError,
    StormError,
    did_you_mean,
)
from storm_exp._contract.extras import install_command
from storm_exp._contract.plugin_hooks import hookimpl
from storm_exp._contract.plugins import SPECS as _SPECS
from storm_exp._contract.plugins import from_plugins, load_plugins
from storm_exp._contract.progress import Progress
from storm_exp._contract.rehearsed import Rehearsed
from storm_exp._contract.runtime import Runtime
from storm_exp._contract.stage_context import StageContext
from storm_exp._plan import plan_hooks as _plan_hooks
from storm_exp._plan.plan import Plan
from storm_exp._plan.planned_artifact import PlannedArtifact
from storm_exp._run import run_hooks as _run_hooks
from storm_exp._run.answer import Answer
from storm_exp._run.application import compose_and_act
from storm_exp._run.console import align
from storm_exp._run.run import Composition, carry_out, make_plan
from storm_exp._store.claim import COLLECTION, claim
from storm_exp._store.eviction import evict, evictable
from storm_exp._store.lineage import lineage
from storm_exp._store.manifest import Manifest, referenced
from storm_exp._store.store import Store

_SPECS += [_contract_hooks, _plan_hooks, _run_hooks]

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "COLLECTION",
    "Answer",
    "Artifact",
    "Bounds",
    "Component",
    "ComposeError",
    "Composition",
    "Cost",
    "FileDigests",
    "GraphError",
    "InputError",
    "Manifest",
    "Memos",
    "Plan",
    "PlanError",
    "PlannedArtifact",
    "PluginError",
    "Port",
    "Progress",
    "Rehearsed",
    "Runtime",
    "SettingError",
    "Spec",
    "StageContext",
    "StageError",
    "Store",
    "StoreError",
    "StormError",
    "align",
    "carry_out",
    "check_bounds",
    "claim",
    "component",
    "compose_and_act",
    "describe",
    "did_you_mean",
    "evict",
    "evictable",
    "field_docstrings",
    "from_plugins",
    "hookimpl",
    "install_command",
    "lineage",
    "load_plugins",
    "make_plan",
    "preset_folders",
    "read_bounds",
    "referenced",
    "setting",
    "value_digest",
]

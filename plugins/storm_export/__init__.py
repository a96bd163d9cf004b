"""Compression and export of checkpoints: bf16, FP8, GGUF, Ollama, folders for the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp import Plan
    from storm_exp.report import RunRecord, Section

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the compressors, the exporters, and the scanner of inputs."""
    from storm_export.bf16 import Bf16
    from storm_export.fp8_dynamic import Fp8Dynamic
    from storm_export.fp8_static import Fp8Static
    from storm_export.gguf.exporter import Gguf
    from storm_export.gguf.importance_scanner import ImportanceMatrixScanner
    from storm_export.hub.exporter import HubFolderExporter
    from storm_export.ollama.exporter import Ollama

    return [
        Bf16,
        Fp8Dynamic,
        Fp8Static,
        ImportanceMatrixScanner,
        Gguf,
        Ollama,
        HubFolderExporter,
    ]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch",), "train"


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return the verb that uploads models to the hub."""
    from storm_export.hub.verb import push

    return {"push": push}


@hookimpl
def storm_check_plan(plan: Plan) -> None:
    """Refuse benchmarks of a hub folder that nobody will score."""
    from storm_export.hub.scored import check_benchmarks

    check_benchmarks(plan)


@hookimpl
def storm_plan_notices(plan: Plan) -> list[str]:
    """Return lines on exports that a sweep leaves out, and on missing libraries of llama.cpp."""
    from storm_export.gguf.needed import notices
    from storm_export.swept import left_out

    return [*left_out(plan), *notices(plan)]


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on compression."""
    from storm_export.report import sections

    return sections(run)


@hookimpl
def storm_completions() -> dict[str, Callable[[list[str]], list[str]]]:
    """Return what a shell offers behind `push`: models of the latest run."""
    from storm_inference.targets.completions import latest_models

    return {"push": latest_models}

from pathlib import Path

from storm_exp.report import RunRecord, Section
from storm_report.markup import number, table


def largest_drifts(run: RunRecord) -> list[tuple[str, float]]:
    stages = [stage for cell in run.cells for stage in cell.of_type("Drift")]
    return [(stage.label, max(stage.read("drift.json").values())) for stage in stages]


def drift_section(run: RunRecord) -> list[Section]:
    rows = [[label, number(drift)] for label, drift in largest_drifts(run)]
    return [Section("Drift", table(["stage", "largest drift"], rows))] if rows else []


def print_drift(arguments: list[str]) -> int:
    folder = Path(arguments[0] if arguments else "outputs/latest")
    for label, drift in largest_drifts(RunRecord.read(folder.resolve())):
        print(f"{label}: {number(drift)}")
    return 0

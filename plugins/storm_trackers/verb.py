"""The verb `track`. Heavy imports are in functions: the module is imported with the plugin."""

from __future__ import annotations

from pathlib import Path


def track(arguments: list[str]) -> int:
    """Show a finished run in a tracker."""
    from storm_exp import Answer, StormError
    from storm_exp.report import RunRecord
    from storm_inference.targets.options import OptionParser
    from storm_report.runs.report_verb import run_folder
    from storm_trackers.section import KINDS, NONE, TrackerSection
    from storm_trackers.services.opening import open_service
    from storm_trackers.telling import Telling

    parser = OptionParser(
        "track",
        "Show a finished run in a tracker.",
        "outputs/latest wandb",
        "outputs/latest mlflow --project mine",
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="`latest`, a name, or the folder of a run")
    add("kind", choices=[kind for kind in KINDS if kind != NONE], help="the tracker")
    add("--project", default="storm-exp", help="project or experiment (default: storm-exp)")
    add("--json", action="store_true", help="print one JSON object")
    options = parser.read(arguments)
    if options is None:
        return 0
    section = TrackerSection(kind=options.kind, project=options.project)
    run = RunRecord.read(run_folder(Path("outputs"), options.run))
    try:
        service = open_service(section.kind, section.project, run)
        Telling(service, run).end(run)
    except Exception as error:  # trackers raise anything
        raise StormError(f"{section.kind} failed with {type(error).__name__}: {error}") from error
    item = {"run": str(run.directory), "tracker": section.kind, "where": service.where}
    return Answer("track", [item], [f"{section.kind}: {service.where}"]).print(arguments)

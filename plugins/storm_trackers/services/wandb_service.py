"""W&B: a run for the recipe, in which every stage has its part: `finetuner/loss`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from storm_exp.report import RunRecord
from storm_trackers.account import CellAccount, StageAccount, Table, run_facts, whole_settings
from storm_trackers.curves import Row
from storm_trackers.services.service import Service, figures


class WandbService(Service):
    """A run in `wandb/` beside the runs (`wandb sync` uploads it), or online."""

    def __init__(self, run: RunRecord, project: str, outputs: Path) -> None:
        """Open the run; raises W&B's errors."""
        self._project, self._outputs = project, outputs
        self._group = run.directory.name if run.is_sweep else None
        self._run = self._init(
            name=run.directory.name,
            job_type="sweep" if run.is_sweep else "run",
            config=run_facts(run) | whole_settings(run),
            tags=run.tags or None,
        )
        self._charted: set[str] = set()
        self.where = self._run.url or str(Path(self._run.dir).parent)

    def steps(self, path: str, rows: Sequence[Row]) -> None:
        """Log the figures of every step, over the steps of the stage."""
        if path not in self._charted:
            self._charted.add(path)
            self._run.define_metric(f"{path}/step", hidden=True)
            self._run.define_metric(f"{path}/*", step_metric=f"{path}/step")
        for row in rows:
            named = {f"{path}/{name}": value for name, value in figures(row).items()}
            self._run.log({f"{path}/step": int(row["step"]), **named})

    def stage(self, account: StageAccount) -> None:
        """Write metrics into the run's summary, settings and facts into its configuration."""
        self._run.summary.update({f"{account.path}/{n}": v for n, v in account.metrics.items()})
        self._run.summary.update({f"{account.path}/status": account.status})
        told = account.settings | account.facts
        config = {f"{account.path}.{name}": value for name, value in told.items()}
        self._run.config.update(config, allow_val_change=True)

    def cell(self, account: CellAccount) -> None:
        """Log a cell as a run of the group of the sweep."""
        cell = self._init(name=account.name, job_type="cell", config=account.settings)
        cell.summary.update(account.metrics)
        cell.finish()

    def finish(self, run: RunRecord, tables: dict[str, Table], files: dict[str, Path]) -> None:
        """Log tables, the report as a panel and all files as an artifact; end the run."""
        for name, table in tables.items():
            shown = wandb.Table(columns=table.header, data=table.rows, allow_mixed_types=True)
            self._run.log({f"tables/{name}": shown})
        if "report.html" in files:
            self._run.log({"report": wandb.Html(str(files["report.html"]), inject=False)})
        artifact = wandb.Artifact(f"run-{self._run.id}", "storm-exp-run")
        for name, file in files.items():
            artifact.add_file(str(file), name=name)
        self._run.log_artifact(artifact)
        self._run.summary.update({"status": run.status})
        self._run.finish(exit_code=int(run.status != "finished"))

    def _init(self, **given: Any) -> wandb.Run:
        """Open a run. Machine, code and output are in the record, and not of this process."""
        settings = wandb.Settings(
            console="off", disable_git=True, save_code=False, silent=True, x_disable_stats=True
        )
        return wandb.init(
            project=self._project,
            group=self._group,
            dir=self._outputs,
            reinit="create_new",
            settings=settings,
            **given,
        )

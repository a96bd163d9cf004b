"""The study of a search: optuna's samplers by name, and trials that survive the process."""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra_plugins.storm_exp_hydra.search_space import Dimension, Point
from storm_exp import ComposeError, did_you_mean, install_command

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "qmc": "QMCSampler",
    "gp": "GPSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
}
"""Optuna's samplers. CMA-ES is not among them: it keeps its state in the study as a pickle, and
what is read from a file must not be able to run code."""


class Study:
    """A study in a file of JSON lines; each trial's draw depends on its number and the seed alone.

    So a search that was killed goes on to the same trials.
    """

    def __init__(
        self,
        study: optuna.Study,
        dimensions: Mapping[str, Dimension],
        sampler: str,
        options: Mapping[str, Any],
        seed: int,
    ) -> None:
        """Use `open_study`."""
        self._study, self._seed = study, seed
        self._sampler, self._options = sampler, dict(options)
        self._space = dimensions

    def trials(self) -> list[FrozenTrial]:
        """Return all trials so far."""
        return self._study.get_trials(deepcopy=False)

    def completed(self) -> list[FrozenTrial]:
        """Return the trials that have values."""
        return [trial for trial in self.trials() if trial.values]

    def unfinished(self) -> list[tuple[int, Point]]:
        """Return number and point of the trials that were asked for and not told.

        One that was not wholly drawn when its process was killed is drawn to its end.
        """
        from optuna.trial import Trial

        found = []
        for trial in self.trials():
            if not trial.state.is_finished():
                self._study.sampler = self._sampler_of(trial.number)
                found.append((trial.number, self._draw(Trial(self._study, trial._trial_id))))
        return found

    def ask(self) -> tuple[int, Point]:
        """Return number and point of a new trial."""
        self._study.sampler = self._sampler_of(len(self.trials()))
        trial = self._study.ask()
        return trial.number, self._draw(trial)

    def _sampler_of(self, number: int) -> optuna.samplers.BaseSampler:
        drawn = hashlib.sha256(f"{self._seed} {number}".encode()).digest()
        # Quasi-random points continue a sequence, which one seed determines.
        seed = self._seed if self._sampler == "qmc" else int.from_bytes(drawn[:4])
        return make_sampler(self._sampler, self._options, seed)

    def _draw(self, trial: optuna.Trial) -> Point:
        for name, each in self._space.items():
            if each.choices:
                trial.suggest_categorical(name, list(dict.fromkeys(each.choices)))
            elif each.whole:
                step = int(each.step or 1)
                trial.suggest_int(name, int(each.low), int(each.high), log=each.log, step=step)
            else:
                trial.suggest_float(name, each.low, each.high, log=each.log, step=each.step)
        return dict(trial.params)

    def tell(self, number: int, values: Sequence[float], figures: Sequence[float]) -> None:
        """Tell the values of a trial in the study's directions, and the figures to show."""
        self._note(number, "figures", list(figures))
        self._study.tell(number, list(values))

    def fail(self, number: int, reason: str) -> None:
        """Tell that a trial failed, and why."""
        from optuna.trial import TrialState

        self._note(number, "reason", reason)
        self._study.tell(number, state=TrialState.FAIL)

    def _note(self, number: int, name: str, value: Any) -> None:
        from optuna.trial import Trial

        Trial(self._study, self.trials()[number]._trial_id).set_user_attr(name, value)

    def front(self) -> list[int]:
        """Return the numbers of the trials that no other beats in every objective."""
        return [trial.number for trial in self._study.best_trials]


@contextmanager
def open_study(
    file: Path,
    directions: Sequence[str],
    dimensions: Mapping[str, Dimension],
    sampler: str,
    options: Mapping[str, Any],
    seed: int,
) -> Iterator[Study]:
    """Open the study in a file, or begin it.

    Raises ComposeError for a file that cannot be read, and where another process searches it.
    """
    optuna = _optuna()
    from filelock import FileLock, Timeout
    from optuna.storages.journal import JournalFileBackend

    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(file.with_suffix(".lock"), timeout=0):
            _drop_half_line(file)
            try:
                storage = optuna.storages.JournalStorage(JournalFileBackend(str(file)))
                study = optuna.create_study(
                    storage=storage,
                    study_name=file.stem,
                    directions=list(directions),
                    load_if_exists=True,
                )
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                problem = f"it cannot be read ({error}); remove it, and the search begins anew"
                raise ComposeError(f"the study {file}: {problem}") from error
            yield Study(study, dimensions, sampler, options, seed)
    except Timeout as error:
        raise ComposeError(f"another process is searching the study {file}") from error


def make_sampler(name: str, options: Mapping[str, Any], seed: int) -> optuna.samplers.BaseSampler:
    """Return a sampler of optuna's; raises ComposeError for an unknown name or option."""
    optuna = _optuna()
    if name not in SAMPLERS:
        raise ComposeError(f"hydra.sweeper.sampler={name}: unknown{did_you_mean(name, SAMPLERS)}")
    cls = getattr(optuna.samplers, SAMPLERS[name])
    known = [
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.name != "seed" and _is_plain(str(parameter.annotation))
    ]
    for option in options:
        if option not in known:
            raise ComposeError(
                f"hydra.sweeper.options.{option}: unknown to {name}{did_you_mean(option, known)}; "
                f"it has {', '.join(known)}"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return cls(**options, seed=seed)  # type: ignore[no-any-return]
    except (TypeError, ValueError, ImportError) as error:
        given = json.dumps(dict(options))
        raise ComposeError(f"hydra.sweeper.options={given}: {name} says: {error}") from error


def check_sampler(name: str, options: Mapping[str, Any]) -> None:
    """Raise ComposeError for an unknown sampler or option."""
    make_sampler(name, options, 0)


def _is_plain(annotation: str) -> bool:
    """Return whether a parameter takes a number, a word or a truth value."""
    words = annotation.replace("'", "").replace(" ", "").split("|")
    return set(words) <= {"bool", "int", "float", "str", "None"}


def _drop_half_line(file: Path) -> None:
    """Remove the end of a file that a killed process did not finish writing."""
    if not file.is_file():
        return
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        file.write_bytes(content[: content.rfind(b"\n") + 1])


def _optuna() -> Any:
    """Return the package; raises ComposeError where it is missing."""
    try:
        import optuna
    except ImportError as error:
        raise ComposeError(
            f"hydra/sweeper=optuna needs the package optuna: {install_command('optuna')}"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna

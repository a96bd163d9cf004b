"""Settings of engines: the section `inference`, and the settings of components that use one."""

from __future__ import annotations

import dataclasses

from omegaconf import II

from storm_exp import SettingError, setting
from storm_inference.engines.api_key import SETTING, check_variable
from storm_inference.engines.urls import check_urls
from storm_inference.environments.environment import Environment
from storm_models.dtype import LoadedDtype

TRANSFORMERS, VLLM, SERVER = "transformers", "vllm", "server"
ENGINES = (TRANSFORMERS, VLLM, SERVER)


@dataclasses.dataclass(kw_only=True)
class InferenceSection:
    """The root section `inference`: defaults of every stage that scores or generates."""

    engine: str = setting(TRANSFORMERS, one_of=ENGINES)
    dtype: LoadedDtype = LoadedDtype.auto
    quantisation: str = ""
    urls: list[str] = setting([])
    api_key_variable: str = ""
    port: int = setting(0, at_least=0, at_most=65535)
    requests: int = setting(32, at_least=1, unit="requests")
    memory: float = setting(0.9, above=0, at_most=1)
    start_seconds: float = setting(900.0, above=0, unit="seconds")
    patience_seconds: float = setting(60.0, above=0, unit="seconds")
    stall_seconds: float = setting(300.0, above=0, unit="seconds")

    def __post_init__(self) -> None:
        """Check combinations of settings; raises SettingError."""
        if self.engine == TRANSFORMERS:
            for name, neutral in (("dtype", LoadedDtype.auto), ("quantisation", "")):
                if getattr(self, name) != neutral:
                    problem = "is used by the engines vllm and server; for a single stage that "
                    problem += f"uses one of them, set STAGE.serving.{name}"
                    raise SettingError(name, getattr(self, name), problem)
        if self.engine == SERVER:
            check_urls(self.urls, "urls")
        check_variable(self.api_key_variable, SETTING)


@dataclasses.dataclass(kw_only=True)
class Serving:
    """Settings of servers, used by the engines vllm and server."""

    dtype: LoadedDtype = setting(II("inference.dtype"), neutral=LoadedDtype.auto)
    """Dtype of the computation, unless the stage sets its own; auto: as stored."""
    quantisation: str = setting(II("inference.quantisation"), neutral="")
    """vLLM's name of a quantisation applied while loading, such as fp8; empty: none."""
    urls: list[str] = setting(II("inference.urls"), semantic=False)
    """Running servers, for the engine server: http://HOST:PORT."""
    api_key_variable: str = setting(II("inference.api_key_variable"), semantic=False)
    """Name of the environment variable that has the key which running servers demand; empty: none.
    The key itself is not a setting, and not recorded."""
    port: int = setting(II("inference.port"), semantic=False)
    """Port of the first server that is started; the next ones follow. 0: free ports."""
    requests: int = setting(II("inference.requests"), semantic=False)
    """Number of concurrent requests per server."""
    memory: float = setting(II("inference.memory"), semantic=False)
    """Share of a GPU's memory for a server that is started."""
    start_seconds: float = setting(II("inference.start_seconds"), semantic=False)
    """How long a server may take to start."""
    patience_seconds: float = setting(II("inference.patience_seconds"), semantic=False)
    """How long to wait for a failing server, and before another server gets a slow request too."""
    stall_seconds: float = setting(II("inference.stall_seconds"), semantic=False)
    """How long a server with requests may show no progress, neither an answer nor tokens that its
    /metrics count, before it is not used any more."""

    def given(self) -> InferenceSection:
        """Return the values, with the section's defaults in place of interpolations.

        Components that are created in Python have no recipe that would resolve them.
        """
        values = InferenceSection()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != f"${{inference.{field.name}}}":
                setattr(values, field.name, value)
        return values


@dataclasses.dataclass(kw_only=True)
class AsksModel:
    """Settings that components which score or generate inherit."""

    inference: str = setting(II("inference.engine"), neutral=TRANSFORMERS, one_of=ENGINES)
    """The engine. transformers: in this process, reproducible to the bit; vllm: a server that is
    started on each device; server: servers that are running."""
    serving: Serving = setting(Serving)
    """Settings of servers."""

    @property
    def engine(self) -> str:
        """The engine; transformers for a component without a recipe."""
        return TRANSFORMERS if self.inference.startswith("${") else self.inference

    @property
    def distributed(self) -> bool:
        """Whether a worker runs on each device; servers use all devices without workers."""
        return self.engine == TRANSFORMERS

    @property
    def serves(self) -> bool:
        """Whether a server is started on each device."""
        return self.engine == VLLM

    def check_engine(self) -> None:
        """Check combinations of settings, and reset those not used; raises SettingError."""
        self.inference = self.engine
        if self.engine == TRANSFORMERS:
            plain = dataclasses.asdict(InferenceSection())
            del plain["engine"]
            self.serving = Serving(**plain)
        elif self.engine == SERVER:
            check_urls(self.serving.given().urls, "serving.urls")
            check_variable(self.serving.given().api_key_variable, f"serving.{SETTING}")

    def rehearsed_engine(self) -> str:
        """Return the engine of a rehearsal: transformers if the recipe's cannot be used.

        Running servers serve the recipe's model, not its twin. vLLM may be missing here.
        """
        missing = any(each.problem() for each in AsksModel.environments(self).values())
        return TRANSFORMERS if self.engine == SERVER or missing else self.engine

    def not_rehearsed(self) -> list[str]:
        """Return a line if transformers replaces the engine in a rehearsal."""
        if self.rehearsed_engine() == self.engine:
            return []
        problems = [
            f" (its environment {each.problem()}: {each.command})"
            for each in AsksModel.environments(self).values()
        ]
        return [f"inference={self.engine}{''.join(problems)}: transformers answers in its place"]

    def environments(self) -> dict[str, Environment]:
        """Return {setting: environment that its value needs}."""
        if self.engine != VLLM:
            return {}
        from storm_inference.environments.vllm import vllm

        return {"inference": vllm()}

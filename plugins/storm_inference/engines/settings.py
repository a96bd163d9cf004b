"""Which engine answers, and how it is run: the section `inference`, and settings of components."""

from __future__ import annotations

import dataclasses

from omegaconf import II

from storm_exp import SettingError, setting
from storm_inference.environments.environment import Environment
from storm_models.dtype import LoadedDtype

TRANSFORMERS, VLLM, SERVER = "transformers", "vllm", "server"
ENGINES = (TRANSFORMERS, VLLM, SERVER)


@dataclasses.dataclass(kw_only=True)
class InferenceSection:
    """The root section `inference`: what every stage that asks a model starts from."""

    engine: str = setting(TRANSFORMERS, one_of=ENGINES)
    dtype: LoadedDtype = LoadedDtype.auto
    quantisation: str = ""
    urls: list[str] = setting([])
    port: int = setting(0, at_least=0, at_most=65535)
    requests: int = setting(32, at_least=1, unit="requests")
    memory: float = setting(0.9, above=0, at_most=1)
    start_seconds: float = setting(900.0, above=0, unit="seconds")
    patience_seconds: float = setting(60.0, above=0, unit="seconds")

    def __post_init__(self) -> None:
        """Check what goes together; raises SettingError."""
        if self.engine == TRANSFORMERS:
            for name, neutral in (("dtype", LoadedDtype.auto), ("quantisation", "")):
                if getattr(self, name) != neutral:
                    problem = "is read by the engines vllm and server; for a stage that asks one, "
                    problem += f"alone, write STAGE.serving.{name}"
                    raise SettingError(name, getattr(self, name), problem)
        if self.engine == SERVER and not self.urls:
            problem = "names no server: inference.urls=[http://HOST:PORT]"
            raise SettingError("urls", self.urls, problem)


@dataclasses.dataclass(kw_only=True)
class Serving:
    """How an engine of processes of its own runs. Read where the engine is vllm or server."""

    dtype: LoadedDtype = setting(II("inference.dtype"), neutral=LoadedDtype.auto)
    """What it computes in, where the stage's own dtype does not say; auto: as stored."""
    quantisation: str = setting(II("inference.quantisation"), neutral="")
    """How it quantises weights as it loads them, by vLLM's name, such as fp8; empty: not at all."""
    urls: list[str] = setting(II("inference.urls"), semantic=False)
    """Servers that are running, for the engine server: http://HOST:PORT."""
    port: int = setting(II("inference.port"), semantic=False)
    """Port of the first server that is started, the next one's is one higher; 0: free ones."""
    requests: int = setting(II("inference.requests"), semantic=False)
    """Requests that a server is given at once."""
    memory: float = setting(II("inference.memory"), semantic=False)
    """Share of a GPU's memory that a server which is started takes."""
    start_seconds: float = setting(II("inference.start_seconds"), semantic=False)
    """How long a server may take to start."""
    patience_seconds: float = setting(II("inference.patience_seconds"), semantic=False)
    """How long a server that fails is waited for, and a request that others could answer."""

    def given(self) -> InferenceSection:
        """Return the values; the section's first ones in place of interpolations.

        Components that Python calls have no recipe, which would resolve them.
        """
        found = InferenceSection()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != f"${{inference.{field.name}}}":
                setattr(found, field.name, value)
        return found


@dataclasses.dataclass(kw_only=True)
class AsksModel:
    """Settings of every component that asks a model; they inherit them."""

    inference: str = setting(II("inference.engine"), neutral=TRANSFORMERS, one_of=ENGINES)
    """What computes: transformers, in this process and to the same bits every time; vllm, a server
    that is started on each device; server, servers that are running."""
    serving: Serving = setting(Serving)
    """How an engine with processes of its own is run."""

    @property
    def engine(self) -> str:
        """The engine, transformers where no recipe says."""
        return TRANSFORMERS if self.inference.startswith("${") else self.inference

    @property
    def serves(self) -> bool:
        """Whether a server is started on each device."""
        return self.engine == VLLM

    def check_engine(self) -> None:
        """Check what goes together, and forget what is not read; raises SettingError.

        A component that Python calls gets the engine of no recipe.
        """
        self.inference = self.engine
        if self.engine == TRANSFORMERS:
            plain = dataclasses.asdict(InferenceSection())
            del plain["engine"]
            self.serving = Serving(**plain)
        elif self.engine == SERVER and not self.serving.given().urls:
            problem = "names no server: inference.urls=[http://HOST:PORT]"
            raise SettingError("serving.urls", [], problem)

    def environments(self) -> dict[str, Environment]:
        """Return the environment that the engine runs in, by the setting that asks for it."""
        if self.engine != VLLM:
            return {}
        from storm_inference.environments.vllm import vllm

        return {"inference": vllm()}

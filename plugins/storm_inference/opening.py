"""Opening of the engine that a stage's settings name, for one checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from storm_exp import StageContext
from storm_inference.engines.api_key import read_key
from storm_inference.engines.engine import Engine
from storm_inference.engines.settings import TRANSFORMERS, VLLM, AsksModel, InferenceSection
from storm_inference.environments.vllm import vllm
from storm_inference.servers.identity import Identity, canary
from storm_inference.servers.pool import Pool
from storm_inference.servers.processor import check_processor_serves
from storm_inference.servers.server import Refused, Server, Unavailable
from storm_inference.servers.server_engine import ServerEngine
from storm_inference.servers.starting import ANSWER_SECONDS, Starting
from storm_inference.servers.vllm_server import Launch
from storm_inference.stop_tokens import answer_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.devices import device_count, own_device


def open_engine(
    settings: AsksModel,
    stage: StageContext,
    model: Checkpoint,
    *,
    device: str,
    dtype: str = "auto",
    batch_size: int = 1,
    pad_to_multiple_of: int = 1,
    max_length: int | None = None,
    stops: Sequence[int] | None = None,
) -> Engine:
    """Return an engine for `model`, which the caller closes.

    `batch_size` and `pad_to_multiple_of` shape the batches of transformers; `max_length` is the
    maximum length of a prompt with its answer, in tokens; `stops` are the stop tokens, by default
    those of the model's files and of its chat template. Raises InputError if a server does not
    start or serves another model.
    """
    if settings.engine == TRANSFORMERS:
        from storm_inference.engines.transformers_engine import TransformersEngine

        return TransformersEngine(
            model,
            dtype=dtype,
            device=own_device(device, stage.world),
            batch_size=batch_size,
            pad_to_multiple_of=pad_to_multiple_of,
            ends=model.chat().ends if model.has_chat_template() else [],
        )
    serving = settings.serving.given()
    computed = served_dtype(model, dtype, serving.dtype)
    with contextlib.ExitStack() as opened:
        if settings.engine == VLLM:
            servers = _start(serving, stage, model.materialise(stage), device, computed, max_length)
        else:
            key = read_key(serving.api_key_variable)
            servers = [Server(url, ANSWER_SECONDS, key=key) for url in serving.urls]
        for server in servers:
            opened.callback(server.close)
        identity = None
        if settings.engine != VLLM:
            identity = Identity(
                expected=canary(stage, model),
                dtype=computed,
                quantised=bool(serving.quantisation or model.config().get("quantization_config")),
                max_length=max_length,
            )
            for server in servers:
                server.model = identity.check(server)
        for server in servers:
            stage.say(f"uses {server.url} ({settings.engine} {_version(server)}, {computed})")
        opened.pop_all()
    if stops is None:
        stops = answer_stops(model)
    pool = Pool(
        servers,
        requests=serving.requests,
        patience=serving.patience_seconds,
        stall=serving.stall_seconds,
        say=stage.say,
        check=stage.check,
        changed=identity.problem if identity else None,
    )
    return ServerEngine(pool, list(stops))


def _start(
    serving: InferenceSection,
    stage: StageContext,
    model: Checkpoint,
    device: str,
    dtype: str,
    max_length: int | None,
) -> list[Server]:
    """Start a server on every device of the runtime, all at the same time."""
    python, count = vllm().python(), stage.runtime.devices
    # The threads of a worker are already those of one device.
    threads = max(1, stage.runtime.thread_count() // (count if stage.world == 1 else 1))
    on_gpu = device.startswith("cuda") and bool(device_count("auto"))
    if not on_gpu:
        check_processor_serves(model.config())
    first = int(device.partition(":")[2] or 0)
    logs = stage.log.parent if stage.log else stage.scratch
    name = "".join(letter if letter.isalnum() else "_" for letter in stage.name)
    stage.say(f"starts vLLM on {count} device{'s' if count > 1 else ''}; its logs are in {logs}")
    with contextlib.ExitStack() as started:
        starting = []
        for index in range(count):
            launch = Launch(
                python=python,
                model=model.directory,
                log=Path(logs) / f"vllm-{name}-{index}.log",
                dtype=dtype,
                quantisation=serving.quantisation,
                max_length=max_length,
                requests=serving.requests,
                memory=serving.memory,
                gpu=first + index if on_gpu else None,
                threads=threads,
                port=serving.port + index if serving.port else 0,
            )
            starting.append(Starting(launch))
            started.callback(starting[-1].server.close)
        servers = [each.wait(serving.start_seconds, stage.check) for each in starting]
        started.pop_all()
    return servers


def served_dtype(model: Checkpoint, *dtypes: str) -> str:
    """Return the dtype of servers: the first of `dtypes` that is not auto, else the stored one.

    vLLM's `auto` would cast float32.
    """
    for dtype in dtypes:
        if dtype != "auto":
            return str(dtype)
    config = model.config()
    return str(config.get("dtype") or config.get("torch_dtype") or "auto")


def _version(server: Server) -> str:
    answer: object = None
    with contextlib.suppress(Unavailable, Refused):  # it is only told
        answer = server.get("/version")
    return str(answer.get("version", "")) if isinstance(answer, dict) else "of unknown version"

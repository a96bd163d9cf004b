"""The environment of vLLM's servers."""

from __future__ import annotations

from pathlib import Path

from storm_inference.servers.vllm_server import Launch


def test_a_server_of_a_worker_does_not_join_the_workers_group(monkeypatch, tmp_path: Path) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LANG", "C.UTF-8")
    launch = Launch(python=Path("python"), model=tmp_path, log=tmp_path / "log", dtype="float32")
    variables = launch.environment()
    assert variables["LANG"] == "C.UTF-8"
    assert not [
        n for n in variables if n.startswith(("RANK", "LOCAL_", "WORLD", "MASTER", "TORCHE"))
    ]

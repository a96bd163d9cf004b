"""What `serve` prints, and how its server ends, with a small server in an engine's place."""

from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import socket
import sys
import textwrap
import threading
import time
from pathlib import Path

import httpx
import pytest

from stand_in import running
from storm_exp import InputError
from storm_inference.serve.serving import instructions, run_server
from storm_inference.serve.verb import serve
from storm_inference.servers.port import free_port
from storm_inference.servers.server import Server
from storm_inference.servers.starting import OF_VERBS, Starting
from storm_inference.targets.temporary_folder import ends_on_signals, temporary_folder

SERVER = """
    import http.server, os, sys

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/end":
                print("out of luck", flush=True)
                os._exit(3)
            content, kind = str(os.getpid()), "text/plain"
            if self.path == "/v1/models":
                content, kind = '{"data": [{"id": "small"}]}', "application/json"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content.encode())

    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyLaunch:
    log: Path
    code: str = SERVER
    engine: str = "a toy"
    host: str = "127.0.0.1"
    name: str = "small"
    port: int = 0

    def words(self, port: int) -> list[str]:
        return [sys.executable, "-c", textwrap.dedent(self.code), str(port)]

    def environment(self) -> dict[str, str]:
        return dict(os.environ)


def when_it_serves(capfd, act) -> list[str]:
    """Call `act` with the address once it is printed, from a thread; returns all that is said."""
    said: list[str] = []

    def watch() -> None:
        while not any("serves the model" in text for text in said):
            said.append(capfd.readouterr().out)
            time.sleep(0.1)
        act("".join(said).split("/v1 serves")[0].split()[-1])

    threading.Thread(target=watch, daemon=True).start()
    return said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_leaves_nothing(capfd, number):
    pids = []

    def end(address: str) -> None:
        pids.append(int(httpx.get(address, trust_env=False).text))
        os.kill(os.getpid(), number)

    when_it_serves(capfd, end)
    code = None
    try:
        with ends_on_signals(0), temporary_folder("serve") as folder:
            run_server(ToyLaunch(log=folder / "toy.log"))
    except SystemExit as ending:
        code = ending.code
    codes = {signal.SIGINT: None, signal.SIGTERM: 0, signal.SIGHUP: 129}
    assert code == codes[number]
    assert not Path(f"/proc/{pids[0]}").exists()
    assert not folder.exists()


def test_nohup_keeps_a_server_when_its_terminal_is_closed():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_on_signals(0):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_server_that_ends_by_itself_is_an_error_with_its_log(capfd):
    def end(address: str) -> None:
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{address}/end", trust_env=False)

    when_it_serves(capfd, end)
    said = r"(?s)a toy: the server has ended with 3.*out of luck"
    with pytest.raises(InputError, match=said), temporary_folder("serve") as folder:
        run_server(ToyLaunch(log=folder / "toy.log"))
    assert "out of luck" in (folder / "toy.log").read_text()


def test_a_server_that_demands_vllms_key_is_asked_with_it(capfd, monkeypatch):
    """vLLM itself reads the variable, and then refuses whoever has no key."""
    monkeypatch.setenv("VLLM_API_KEY", "sk-own")
    demanding = SERVER.replace(
        'if self.path == "/v1/models":',
        """if self.headers.get("Authorization") != "Bearer " + os.environ["VLLM_API_KEY"]:
                return self.send_error(401)
            if self.path == "/v1/models":""",
    )
    said = when_it_serves(capfd, lambda address: os.kill(os.getpid(), signal.SIGINT))
    with temporary_folder("serve") as folder:
        launch = ToyLaunch(log=folder / "toy.log", code=demanding, engine="vLLM")
        run_server(launch)
    assert ' -H "Authorization: Bearer $VLLM_API_KEY" ' in "".join(said)
    assert "sk-own" not in "".join(said)
    anywhere = dataclasses.replace(launch, host="0.0.0.0")
    assert not any("no authentication" in line for line in instructions("http://x", anywhere))


def test_a_server_that_does_not_start_is_an_error_with_its_log(tmp_path):
    launch = ToyLaunch(log=tmp_path / "toy.log", code="raise SystemExit('no such file')")
    with pytest.raises(InputError, match=r"(?s)a toy did not start.*no such file"):
        run_server(launch)


def test_a_lack_of_memory_is_answered_with_what_the_verb_offers(tmp_path):
    launch = ToyLaunch(log=tmp_path / "toy.log", code="raise SystemExit('error: no memory left')")
    with pytest.raises(InputError, match="memory is short, give a smaller --max-length") as raised:
        run_server(launch)
    assert "inference." not in str(raised.value)
    with pytest.raises(InputError, match=r"lower inference\.memory, inference\.requests"):
        Starting(launch).wait(60)


def test_only_a_stage_has_a_setting_for_how_long_a_server_may_take(tmp_path):
    launch = ToyLaunch(log=tmp_path / "toy.log", code="input()")
    with pytest.raises(InputError, match=r"within 0 s \(inference\.start_seconds\)"):
        Starting(launch).wait(0)
    with pytest.raises(InputError, match=r"within 0 s \(log"):
        Starting(launch, OF_VERBS).wait(0)


def test_the_command_that_is_printed_asks_the_model_by_its_name():
    launch = ToyLaunch(log=Path("toy.log"), name="it's small")
    first, curl = instructions("http://127.0.0.1:80", launch)
    assert first.startswith("http://127.0.0.1:80/v1 serves the model 'it's small'")
    words = shlex.split(curl)
    assert words[:2] == ["curl", "http://127.0.0.1:80/v1/chat/completions"]
    assert '"model": "it\'s small"' in words[-1]


def test_a_server_that_others_can_reach_is_said_to_have_no_authentication():
    launch = ToyLaunch(log=Path("toy.log"), host="0.0.0.0")
    assert "no authentication" in instructions("http://127.0.0.1:80", launch)[-1]


def test_a_port_in_use_is_said_before_anything_starts(talker, capfd):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port: port {port} cannot be used"):
            serve([str(talker.directory), "--port", str(port)])
    assert capfd.readouterr().out == ""


def test_two_servers_that_start_at_once_cannot_have_one_port(tmp_path):
    """Until the first one listens, the operating system would give the port to both."""
    port = free_port()
    first = ToyLaunch(log=tmp_path / "first.log", port=port, code="import time; time.sleep(60)")
    starting = Starting(first)
    try:
        with pytest.raises(InputError, match=rf"--port: port {port} cannot be used \(another run"):
            run_server(ToyLaunch(log=tmp_path / "second.log", port=port))
    finally:
        starting.server.close()
    Starting(ToyLaunch(log=tmp_path / "third.log", port=port)).wait(30).close()


def test_another_server_that_answers_at_the_port_is_not_taken_for_the_own(tmp_path):
    with running() as other:
        launch = ToyLaunch(log=tmp_path / "toy.log", code="import time; time.sleep(60)")
        starting = Starting(launch)
        starting.server.close()  # its program; its address becomes the other's
        starting.server = Server(other.url, 30)
        with pytest.raises(InputError, match=r"another server answers at http\S+, with toy"):
            starting.wait(30)


def test_a_host_that_is_not_of_this_machine_is_refused(talker):
    with pytest.raises(InputError, match=r"--host 192\.0\.2\.1"):
        serve([str(talker.directory), "--host", "192.0.2.1"])


def test_transformers_has_no_server(talker):
    with pytest.raises(InputError, match=r"has no server: use vllm .* llama_cpp for GGUF"):
        serve([str(talker.directory), "--inference", "transformers"])


@pytest.mark.parametrize("engine", ["vllm", "llama_cpp"])
def test_an_environment_that_is_missing_is_named_with_its_command(
    talker, tmp_path, monkeypatch, engine
):
    monkeypatch.setenv("STORM_EXP_ENVIRONMENTS", str(tmp_path))
    (tmp_path / "model.gguf").touch()
    model = talker.directory if engine == "vllm" else tmp_path / "model.gguf"
    with pytest.raises(InputError, match=f"storm-exp env create {engine}"):
        serve([str(model), "--port", "0"])


@pytest.mark.parametrize("words", [["--port", "65536"], ["--port", "x"], ["--max-length", "0"]])
def test_a_number_that_is_out_of_bounds_is_refused_with_the_usage(talker, words):
    with pytest.raises(InputError, match=rf"{words[0]}.*\nusage: storm-exp serve"):
        serve([str(talker.directory), *words])


def test_help_names_every_option(capsys):
    assert serve(["--help"]) == 0
    assert "--max-length" in capsys.readouterr().out

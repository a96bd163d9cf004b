"""Servers may be slow, die or return nonsense: every row gets its own result, or an error."""

from __future__ import annotations

import collections
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from stand_in import StandIn, expected, running
from storm_exp import InputError
from storm_inference.engines.engine import Sampling
from storm_inference.servers.pool import ATTEMPTS, Pool
from storm_inference.servers.port import free_port
from storm_inference.servers.server import NotTaken, Server
from storm_inference.servers.server_engine import ServerEngine

ROWS = [[[1, 2, row], [1, 2, row + 100]] for row in range(40)]
LABELS = [[4, 5], [6, 7, 8]]
RIGHT = [
    [[expected(prompt, label) for label in ids] for prompt, ids in zip(row, LABELS, strict=True)]
    for row in ROWS
]


OPENED: list[ServerEngine | Server] = []


@pytest.fixture
def pair() -> Iterator[list[StandIn]]:
    with running() as first, running() as second:
        yield [first, second]
        for server in (first, second):
            server.stopping.set()
        while OPENED:
            OPENED.pop().close()


def engine(
    *urls: str,
    patience: float = 0.5,
    stall: float = 300.0,
    requests: int = 4,
    said: list[str] | None = None,
    key: str = "",
):
    servers = [Server(url, 30.0, key=key) for url in urls]
    say = (said if said is not None else []).append
    pool = Pool(servers, requests=requests, patience=patience, stall=stall, say=say)
    OPENED.append(ServerEngine(pool, [7]))
    return OPENED[-1]


def test_every_row_has_the_labels_of_its_own_prompts(pair):
    counted: list[int] = []
    logs = engine(*(s.url for s in pair)).score_labels(ROWS, LABELS, counted.append)
    assert logs == RIGHT
    assert sum(counted) == len(ROWS) and 0 not in counted
    assert all(server.asked for server in pair)
    body = pair[0].asked[0]
    assert body["logprob_token_ids"] == [4, 5, 6, 7, 8] and body["max_tokens"] == 1
    # Both questions of a row are neighbours.
    assert body["prompt"][0][:2] == body["prompt"][1][:2]
    assert body["prompt"][1][2] == body["prompt"][0][2] + 100


def test_the_number_of_concurrent_requests_is_limited(pair):
    for server in pair:
        server.seconds = 0.05
    engine(pair[0].url, requests=3).score_labels(ROWS, LABELS)
    assert pair[0].most_at_once == 3


def test_a_slow_server_does_not_delay_the_rest(pair):
    slow, fast = pair
    slow.seconds = 20
    logs = engine(slow.url, fast.url, requests=1).score_labels(ROWS, LABELS)
    assert logs == RIGHT
    assert len(slow.asked) == 1


def test_a_hung_server_is_dropped(pair):
    hung, good = pair
    hung.seconds, hung.healthy = 20, False
    said: list[str] = []
    both = engine(hung.url, good.url, said=said)
    assert both.score_labels(ROWS, LABELS) == RIGHT
    assert len(said) == 1 and hung.url in said[0] and "is not used any more" in said[0]
    before = len(hung.asked)
    assert both.score_labels(ROWS, LABELS) == RIGHT
    assert len(hung.asked) == before


def test_a_single_server_that_never_answers_is_not_waited_for(pair):
    pair[0].seconds = 60
    started = time.monotonic()
    stalled = r"took requests, and for 0.4 s it answered none.*\(inference\.stall_seconds\)"
    with pytest.raises(InputError, match=rf"no server is left: {pair[0].url} {stalled}"):
        engine(pair[0].url, stall=0.4).score_labels(ROWS, LABELS)
    assert time.monotonic() - started < 10


def test_what_a_stalled_server_had_goes_to_the_others(pair):
    stalled, good = pair
    stalled.seconds = 60
    said: list[str] = []
    both = engine(stalled.url, good.url, patience=30, stall=0.4, said=said)
    assert both.score_labels(ROWS, LABELS) == RIGHT
    assert len(said) == 1 and f"{stalled.url} is not used any more" in said[0]


def test_a_server_that_stalls_is_dropped_though_others_are_done_sooner(pair):
    """Each time the others take over its requests; it has had its own since the first time."""
    stalled, good = pair
    stalled.seconds = 60
    said: list[str] = []
    both = engine(stalled.url, good.url, patience=0.3, stall=1.0, requests=1, said=said)
    for _ in range(6):
        assert both.score_labels(ROWS[:8], LABELS) == RIGHT[:8]
    assert len(said) == 1 and f"{stalled.url} is not used any more" in said[0]
    assert len(stalled.asked) < 5


def test_a_server_that_computes_is_waited_for(pair):
    """Longer than a server may stall: an answer, or a token, every now and then is enough."""
    pair[0].seconds = 1.2
    pair[0].tokens_per_look = 1
    assert engine(pair[0].url, stall=0.4).score_labels(ROWS[:4], LABELS) == RIGHT[:4]
    pair[1].seconds = 0.2
    assert engine(pair[1].url, stall=0.6, requests=1).score_labels(ROWS, LABELS) == RIGHT


def test_a_dead_server_is_dropped_and_reported(pair):
    said: list[str] = []
    nobody = f"http://127.0.0.1:{free_port()}"
    pair[0].seconds = 0.5
    assert engine(nobody, pair[0].url, said=said).score_labels(ROWS, LABELS) == RIGHT
    assert len(said) == 1 and said[0].startswith(f"{nobody} is not used any more")


def test_a_server_that_fails_for_a_short_time_is_kept(pair):
    (server, _), count = pair, itertools.count()
    server.before = lambda body: 503 if next(count) < 3 else None
    assert engine(server.url, patience=30).score_labels(ROWS, LABELS) == RIGHT


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_as_often_as_it_takes(pair, status):
    server, (guard, refused) = pair[0], (threading.Lock(), collections.Counter())

    def refuse(body):
        with guard:
            request = str(body["prompt"])
            refused[request] += 1
            return status if refused[request] <= ATTEMPTS else None

    server.before = refuse
    assert engine(server.url, requests=10, patience=30).score_labels(ROWS, LABELS) == RIGHT
    assert set(refused.values()) == {ATTEMPTS + 1}


def test_a_server_that_cannot_be_reached_took_no_request():
    """Such attempts are not counted: its many threads would use them up with the last request."""
    OPENED.append(Server(f"http://127.0.0.1:{free_port()}", 30.0))
    with pytest.raises(NotTaken, match="Connection refused"):
        OPENED[-1].post("/v1/completions", {})


def test_a_server_that_comes_back_with_another_model_is_dropped(pair):
    restarted, good = pair
    good.seconds = 0.1
    count, said = itertools.count(), []
    restarted.before = lambda body: 500 if next(count) == 0 else None
    servers = [Server(server.url, 30.0) for server in pair]
    pool = Pool(
        servers,
        requests=1,
        patience=0.3,
        say=said.append,
        changed=lambda server: "serves another model" if server is servers[0] else "",
    )
    OPENED.append(ServerEngine(pool, [7]))
    assert OPENED[-1].score_labels(ROWS, LABELS) == RIGHT
    assert said == [f"{restarted.url} is not used any more: serves another model"]
    assert len(restarted.asked) == 1


def test_a_server_that_is_always_busy_is_dropped(pair):
    busy, good = pair
    busy.before = lambda body: 429
    good.seconds = 0.1
    said: list[str] = []
    both = engine(busy.url, good.url, patience=0.3, requests=1, said=said)
    assert both.score_labels(ROWS, LABELS) == RIGHT
    assert len(said) == 1 and busy.url in said[0] and "HTTP 429" in said[0]
    with pytest.raises(InputError, match=r"no server is left: .*HTTP 429"):
        engine(busy.url, patience=0.3).score_labels(ROWS, LABELS)


def test_figures_are_those_of_the_servers_that_are_left(pair):
    lines = 'vllm:prefix_cache_queries_total{{engine="0"}} {}\nvllm:prefix_cache_hits_total {}\n'
    for server in pair:
        server.metrics = lines.format(1000, 900)
    both = engine(*(server.url for server in pair))
    pair[0].metrics, pair[1].metrics = lines.format(1100, 920), lines.format(1300, 960)
    assert both.figures() == {"prompt_tokens": 400, "prefix_hit_rate": 0.2}
    pair[0].metrics = ""
    assert both.figures() == {"prompt_tokens": 300, "prefix_hit_rate": 0.2}


def test_without_a_server_there_is_an_error():
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=rf"no server is left: {nobody}"):
        engine(nobody).score_labels(ROWS, LABELS)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda answer: {"choices": answer["choices"][:3]}, "8 answers were requested, 3 were"),
        (lambda answer: {"choice": 1}, "an invalid response"),
        (lambda answer: b"<html>", "no JSON"),
        (lambda answer: _with_logs(answer, {"token_id:4": -1.0}), "without the labels'"),
        (
            lambda answer: _with_logs(answer, {f"token_id:{n}": 2.0 for n in range(9)}),
            "invalid log",
        ),
        (  # each may be a probability, but not all of them
            lambda answer: _with_logs(answer, {f"token_id:{n}": 0.0 for n in range(9)}),
            "invalid log",
        ),
        (lambda answer: _with_logs(answer, None), "without the labels'"),
    ],
)
def test_an_invalid_response_is_requested_again_and_never_kept(pair, spoil, problem):
    bad, good = pair
    bad.after = spoil
    with pytest.raises(InputError, match=rf"4 attempts failed: .*{problem}"):
        engine(bad.url).score_labels(ROWS, LABELS)
    count = itertools.count()
    bad.after = lambda answer: spoil(answer) if next(count) < 2 else answer
    assert engine(bad.url, good.url).score_labels(ROWS, LABELS) == RIGHT


def test_a_refused_request_is_not_retried(pair):
    pair[0].before = lambda body: 400
    with pytest.raises(InputError, match="HTTP 400"):
        engine(pair[0].url, requests=1).score_labels(ROWS, LABELS)
    assert len(pair[0].asked) == 1


def test_an_answer_that_ended_has_its_stop_token(pair):
    prompts = [[1, number] for number in range(10, 30)]
    sampling = Sampling(max_new_tokens=5, temperature=1.0, top_p=0.5, stop=("\n",), seed=3)
    answers = engine(*(server.url for server in pair)).generate(prompts, sampling)
    assert answers == [[number, 7] for _, number in prompts]
    body = next(body for body in pair[0].asked + pair[1].asked if body["prompt"] == [1, 12])
    assert body["seed"] == 5 and body["stop"] == ["\n"] and body["stop_token_ids"] == [7]
    assert body["top_p"] == 0.5


def test_a_truncated_answer_has_no_stop_token(pair):
    def cut(answer):
        for choice in answer["choices"]:
            choice |= {"finish_reason": "length", "token_ids": [3, 4]}
        return answer

    pair[0].after = cut
    assert engine(pair[0].url).generate([[1, 2]], Sampling(max_new_tokens=2)) == [[3, 4]]


def test_an_interruption_cancels_the_requests(pair):
    pair[0].seconds = 10

    def interrupt() -> None:
        raise KeyboardInterrupt

    OPENED.append(Server(pair[0].url, 30))
    pool = Pool([OPENED[-1]], requests=2, patience=1, check=interrupt)
    with pytest.raises(KeyboardInterrupt):
        ServerEngine(pool, [7]).score_labels(ROWS, LABELS)


def test_a_server_that_demands_a_key_gets_it_and_nobody_else_sees_it(pair, caplog):
    for server in pair:
        server.key = "sk-stand-in"
    said: list[str] = []
    both = engine(*(server.url for server in pair), key="sk-stand-in", said=said)
    assert both.score_labels(ROWS, LABELS) == RIGHT and both.health() == ""
    assert said == [] and "sk-stand-in" not in caplog.text
    advice = r"HTTP 401: .*; it demands (another|a) key \(inference\.api_key_variable names the"
    for key in ("", "sk-wrong"):
        with pytest.raises(InputError, match=advice) as raised:
            engine(pair[0].url, key=key).score_labels(ROWS, LABELS)
        assert "sk-" not in str(raised.value)


def test_a_port_in_use_is_refused():
    from storm_inference.servers.port import check_port

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"inference\.port: port {port} cannot be used"):
            check_port(port)
    check_port(port)
    with pytest.raises(InputError, match=r"inference\.port: there is no port 65536"):
        check_port(65536)


def _with_logs(answer, logs):
    for choice in answer["choices"]:
        choice["logprobs"] = {"top_logprobs": [logs]}
    return answer

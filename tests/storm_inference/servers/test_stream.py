"""Streams of a server's events, whole and broken."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from storm_inference.servers.server import Refused, Server, Unavailable

EVENTS = {
    "/whole": b': comment\n\ndata: {"text": "a"}\n\ndata: {"text": "\xc3\xbc"}\n\ndata: [DONE]\n\n',
    "/error": b'data: {"text": "a"}\n\ndata: {"error": {"message": "out of memory"}}\n\n',
    "/garbage": b'data: {"text": "a"}\n\ndata: {"te\n\n',
    "/named": b'error: {"message": "out of memory"}\n\n',
    "/cut": b'data: {"text": "a"}\n\n',
}


@pytest.fixture(scope="module")
def server():
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/refuse"):
                self.send_error(int(self.path[-3:]))
                return
            events = EVENTS[self.path]
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            longer = 100 * (self.path == "/cut")
            self.send_header("Content-Length", str(len(events) + longer))
            self.end_headers()
            self.wfile.write(events)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    with contextlib.closing(Server(f"http://127.0.0.1:{listening.server_port}", 10)) as made:
        yield made
    listening.shutdown()
    listening.server_close()


def test_events_come_in_order(server):
    assert [event["text"] for event in server.stream("/whole", {})] == ["a", "ü"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/error", "out of memory"),
        ("/named", "out of memory"),
        ("/garbage", "/garbage"),
        ("/cut", "/cut"),
        ("/refuse503", "HTTP 503"),
    ],
)
def test_a_stream_that_breaks_is_an_error_after_what_came(server, path, reason):
    with pytest.raises(Unavailable, match=reason):
        for event in server.stream(path, {}):
            assert event == {"text": "a"}


def test_a_request_that_is_wrong_is_refused(server):
    with pytest.raises(Refused, match="HTTP 400"):
        list(server.stream("/refuse400", {}))


def test_who_stops_reading_can_ask_again(server):
    for _ in server.stream("/whole", {}):
        break
    assert len(list(server.stream("/whole", {}))) == 2

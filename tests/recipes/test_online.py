"""`plan --online` against a server that speaks the hub's API; without it nothing is asked."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from end_to_end.workplace import Workplace
from families import MISTRAL_7B
from recipes.made_up_hub import take_for_the_hub

CHAT = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


class Hub:
    """What the server has. Tests change it."""

    def __init__(self) -> None:
        self.models = {
            "a/model": {
                "files": {
                    "config.json": 9,
                    "model.safetensors": 14_483_464_192,
                    "tokenizer.json": 9,
                },
                "gated": False,
                "open": True,
                "config": MISTRAL_7B,
            }
        }
        self.datasets = {
            "a/chats": {
                "files": {"data/train.parquet": 5_000_000_000, "README.md": 3},
                "gated": False,
                "open": True,
                "splits": {"default": ["train", "test"]},
                "rows": [CHAT, {"other": 1}],
            }
        }
        self.asked: list[str] = []

    def answer(self, path: str) -> tuple[int, dict[str, str], object]:
        """Return status, headers and content for a path with its query."""
        self.asked.append(path)
        url = urlparse(path)
        words = url.path.strip("/").split("/")
        if words[0] == "api":
            known = self.models if words[1] == "models" else self.datasets
            found = known.get("/".join(words[2:4]))
            if found is None:
                return 404, {"X-Error-Code": "RepoNotFound"}, {}
            if words[-1] == "auth-check":
                return (200, {}, {}) if found["open"] else (403, {"X-Error-Code": "GatedRepo"}, {})
            files = [{"rfilename": n, "size": size} for n, size in found["files"].items()]
            name = "/".join(words[2:4])
            return (
                200,
                {},
                {"id": name, "sha": "c" * 40, "gated": found["gated"], "siblings": files},
            )
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if words[0] in ("splits", "first-rows"):
            found = self.datasets.get(query["dataset"])
            if found is None or "splits" not in found:
                return 404, {}, {}
            if words[0] == "splits":
                every = [
                    {"config": name, "split": split}
                    for name, splits in found["splits"].items()
                    for split in splits
                ]
                return 200, {}, {"splits": every}
            return 200, {}, {"rows": [{"row": row} for row in found["rows"]]}
        if words[-1] == "config.json":
            return 200, {}, self.models["/".join(words[:2])]["config"]
        return 404, {}, {}


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def plan(hub: Hub, tmp_path: Path) -> Iterator[object]:
    """Return a function that plans on the command line with this hub."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = hub.answer(self.path)
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    place = Workplace(tmp_path / "work")

    def run(*arguments: str, code: int = 0) -> str:
        return place.run(
            "plan",
            "recipe=storm_own",
            "base_model=hub",
            "base_model.repo=a/model",
            "dataset=hub_chat",
            "dataset.sources={x: a/chats}",
            "dataset.expected_rows={x: 1000}",
            *arguments,
            code=code,
            before=functools.partial(take_for_the_hub, address, tmp_path / "cache"),
        )

    yield run
    server.shutdown()
    server.server_close()


def test_what_the_hub_has_is_told(plan, hub):
    said = plan("--online")
    assert "online: model a/model at cccccccccccc: 14.5 GB of weights, no chat template" in said
    assert "online: dataset a/chats at cccccccccccc: 5.0 GB; train: 1 of the first 2 rows" in said
    assert "not checked" not in said


def test_without_it_the_plan_says_that_nothing_was_checked(plan, hub):
    said = plan()
    assert "not checked: whether the hub has what base_model, dataset would fetch" in said
    assert not [path for path in hub.asked if "first-rows" in path or "siblings" in path]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda hub: hub.models.clear(), "the hub has no model a/model at main"),
        (lambda hub: hub.datasets.clear(), "the hub has no dataset a/chats at main"),
        (
            lambda hub: hub.models["a/model"].update(gated="manual", open=False),
            "model a/model is behind a licence: accept it on the hub",
        ),
        (
            lambda hub: hub.models["a/model"]["files"].pop("model.safetensors"),
            "has no weights in safetensors",
        ),
        (
            lambda hub: hub.models["a/model"]["files"].pop("tokenizer.json"),
            "the repository has no tokenizer",
        ),
        (
            lambda hub: hub.datasets["a/chats"].update(splits={"default": ["train_sft"]}),
            "no split 'train'; did you mean 'train_sft'?",
        ),
        (
            lambda hub: hub.datasets["a/chats"].update(rows=[{"other": 1}]),
            "none of its first 1 rows can be used",
        ),
        (
            lambda hub: hub.datasets["a/chats"].update(files={"train.bin": 1}),
            "holds no file like *.parquet",
        ),
    ],
)
def test_what_cannot_be_had_is_an_error(plan, hub, change, problem):
    change(hub)
    said = plan("--online", code=1)
    assert problem in said
    assert "Traceback" not in said


def test_a_config_that_is_not_as_expected_is_an_error(plan, hub):
    said = plan("--online", "base_model.expected_config={hidden_size: 2048}", code=1)
    assert "config.json of a/model says 4096" in said


def test_data_of_tasks_are_looked_up_with_their_splits(plan, hub):
    tasks = ["evaluator=lm_eval", "evaluator.tasks=[openbookqa]", "+graph.evaluator.data=null"]
    hub.datasets["allenai/openbookqa"] = {
        "files": {"x.parquet": 1},
        "gated": "auto",
        "open": True,
        "splits": {"main": ["train", "validation", "test"], "additional": ["train"]},
    }
    said = plan("--online", *tasks[:2])
    assert "online: dataset allenai/openbookqa at cccccccccccc, behind a licence" in said
    hub.datasets["allenai/openbookqa"]["splits"]["main"] = ["train"]
    assert "has no split 'validation'" in plan("--online", *tasks[:2], code=1)
    hub.datasets["allenai/openbookqa"]["open"] = False
    assert "allenai/openbookqa is behind a licence" in plan("--online", *tasks[:2], code=1)


def test_a_hub_that_does_not_answer_is_said_to_be_unchecked(tmp_path):
    place = Workplace(tmp_path / "work")
    said = place.run("plan", "recipe=storm_8b", "--online", code=1, HF_HUB_OFFLINE="1")
    assert "base_model: not checked, as the server does not answer" in said
    assert "Traceback" not in said

"""A server that speaks as much of the hub's API as an upload needs, and keeps what it is sent.

https://huggingface.co/docs/hub/api, and git-lfs's batch API.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in"
OWNER = "me"


class StandInHub:
    """Repositories of one owner; use it as a context manager."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        """{OWNER/NAME: {private, branches: {branch: {path: bytes}}}}"""
        self.large: dict[str, bytes] = {}
        """What came by git-lfs, by its sha256."""
        self.full = False
        """Whether there is no room for large files."""
        self.cut_transfers = 0
        """How many of the next large files arrive by half, as the connection breaks."""
        self.cut_commits = 0
        """How many of the next commits are made without an answer, as the connection breaks."""
        self.asked: list[tuple[str, str, str]] = []
        """(method, path, user agent) of every request."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _breaks(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if self.command == "PUT" and hub.cut_transfers:
                    hub.cut_transfers -= 1
                    self.rfile.read(length // 2)
                    return self._breaks()
                body = self.rfile.read(length)
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                agent = self.headers.get("User-Agent", "")
                hub.asked.append((self.command, self.path, agent))
                known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                needs_none = self.path.startswith("/large/")
                code, answer = (
                    hub.answer(self.command, self.path, body)
                    if known or needs_none
                    else (401, {"error": "Invalid credentials in Authorization header"})
                )
                if "/commit/" in self.path and hub.cut_commits:
                    hub.cut_commits -= 1
                    return self._breaks()
                content = json.dumps(answer).encode()
                self.send_response(code)
                if code == 404:
                    self.send_header("X-Error-Code", "RepoNotFound")
                if isinstance(answer, dict) and "error" in answer:
                    self.send_header("X-Error-Message", answer["error"])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = _handle

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> StandInHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        parts = path.partition("?")[0].strip("/").split("/")
        match method, *parts:
            case "GET", "api", "whoami-v2":
                return 200, {"type": "user", "name": OWNER, "orgs": []}
            case "POST", "api", "validate-yaml":
                bad = "license: 7" in json.loads(body)["content"]
                errors = [{"message": '"license" must be a string'}] if bad else []
                return (400 if bad else 200), {"errors": errors, "warnings": []}
            case "POST", "api", "repos", "create":
                return self._create(json.loads(body))
            case "GET", "api", "models", owner, name, *_:
                found = self.repositories.get(f"{owner}/{name}")
                if found is None:
                    return 404, {"error": "Repository not found"}
                return 200, {"id": f"{owner}/{name}", "private": found["private"], "sha": "0" * 40}
            case "POST", "api", "models", owner, name, "branch", branch:
                self.repositories[f"{owner}/{name}"]["branches"].setdefault(branch, {})
                return 200, {}
            case "POST", "api", "models", owner, name, "preupload", branch if owner == OWNER:
                there = self.repositories[f"{owner}/{name}"]["branches"][branch]
                return 200, {"files": [_mode(file, there) for file in json.loads(body)["files"]]}
            case "POST", "api", "models", owner, name, "commit", branch if owner == OWNER:
                return self._commit(f"{owner}/{name}", branch, body)
            case "POST", owner, _, "info", "lfs", "objects", "batch" if owner == OWNER:
                return 200, {"transfer": "basic", "objects": self._batch(json.loads(body))}
            case "PUT", "large", _ if self.full:
                return 413, {"error": "There is no room"}
            case "PUT", "large", digest:
                self.large[digest] = body
                return 200, {}
            case "POST", "verify":
                stated = json.loads(body)
                kept = self.large.get(stated["oid"], b"")
                whole = hashlib.sha256(kept).hexdigest() == stated["oid"]
                return (200 if whole and len(kept) == stated["size"] else 422), {}
        return 403, {"error": "You don't have the rights to write here"}

    def _create(self, stated: dict[str, Any]) -> tuple[int, Any]:
        owner = stated.get("organization") or OWNER
        if owner != OWNER:
            text = f"You don't have the rights to create a model under the namespace '{owner}'"
            return 403, {"error": text}
        name = f"{owner}/{stated['name']}"
        private = stated.get("visibility") == "private" or bool(stated.get("private"))
        self.repositories[name] = {"private": private, "branches": {"main": {}}}
        return 200, {"url": f"{self.url}/{name}", "name": name}

    def _batch(self, stated: dict[str, Any]) -> list[dict[str, Any]]:
        """Ask for the objects that have not come yet."""
        return [
            entry
            if entry["oid"] in self.large
            else {
                **entry,
                "actions": {
                    "upload": {"href": f"{self.url}/large/{entry['oid']}"},
                    "verify": {"href": f"{self.url}/verify"},
                },
            }
            for entry in stated["objects"]
        ]

    def _commit(self, name: str, branch: str, body: bytes) -> tuple[int, Any]:
        files = self.repositories[name]["branches"][branch]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
        sha = hashlib.sha1(body).hexdigest()
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{sha}", "commitOid": sha}


def _mode(file: dict[str, Any], there: dict[str, bytes]) -> dict[str, Any]:
    """Return how a file is to come, and the digest of the one that is there."""
    path, oid = file["path"], None
    large = path.endswith((".safetensors", "tokenizer.json"))
    if (content := there.get(path)) is not None:
        blob = b"blob %d\0%b" % (len(content), content)
        oid = hashlib.sha256(content).hexdigest() if large else hashlib.sha1(blob).hexdigest()
    mode = "lfs" if large else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

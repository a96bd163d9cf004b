"""For any contents of a folder of presets, the result is a plan or an error that names the file."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fuzz.nested import paths
from fuzz.shares import Share, in_shares

RECIPE: dict[str, Any] = {
    "defaults": [
        {"/source": "number"},
        {"/adder": "add"},
        {"/adder@other": "plus_ten"},
        {"/total": "collect"},
    ],
    "graph": {
        "adder": {"number": "source"},
        "other": {"number": "source"},
        "total": {"numbers": ["source", "adder", "other"]},
    },
    "targets": ["total"],
    "adder": {"amount": 2.0},
}
PRESET: dict[str, Any] = {
    "defaults": ["settled", "_self_"],
    "title": "x",
    "parts": [1, 2],
    "weights": {"x": 1.0},
    "inner": {"depth": 2, "names": ["a"]},
}
SWEEP: dict[str, Any] = {
    "defaults": [{"override /recipe": "sum"}],
    "hydra": {"mode": "MULTIRUN", "sweeper": {"params": {"adder.amount": "1,2", "seed": "0,1"}}},
}
ODD: list[Any] = [
    *(None, "", "???", "x", 0, -1, 10**400, 1.5, float("nan"), float("inf"), True, [], {}),
    *([[]], [None], [{}], {"a": {"b": None}}, {1: 2}, {None: 1}, {True: 1}, {"": 1}, {"a.b": 1}),
    *("${seed}", "${nothing}", "${", "${oc.env:NO_SUCH}", "${..x}", "${graph}", "a\x00b", "\n\t"),
    *(
        {"_target_": "os.system"},
        {"_self_": 1},
        "_self_",
        {"override": 1},
        {"optional /adder": "x"},
    ),
    *({"override /adder": "add"}, {"/no": "such"}, {"/adder@": "add"}, {"/adder@a.b": "add"}),
    *({"a" * 2000: "b" * 2000}, list(range(3000)), "/recipe/fuzz", {"/recipe": "fuzz"}, "fuzz"),
]
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "a comment": b"# nothing\n",
    "a word": b"hello",
    "a number": b"12",
    "a list": b"- a\n- b\n",
    "null": b"null",
    "two documents": b"a: 1\n---\nb: 2\n",
    "tabs": b"graph:\n\tadder: 1\n",
    "no end": b"graph: {adder: {number: source\n",
    "no value": b"graph: :\n",
    "a byte order mark": b"\xef\xbb\xbfgraph: {}\n",
    "UTF-16": "graph: {}\n".encode("utf-16"),
    "Latin-1": b"# \xe4\xf6\ntargets: [\xfc]\n",
    "NUL": b"graph: \x00\n",
    "random bytes": bytes(random.Random(5).randrange(256) for _ in range(300)),
    "the same key twice": b"graph: {}\ngraph: {}\n",
    "a key that is a list": b"? [a, b]\n: c\n",
    "a key that is a number": b"1: 2\ngraph: {2: 3}\n",
    "a merge": b"x: &x {a: 1}\ngraph:\n  <<: *x\n",
    "a merge of a text": b"graph:\n  <<: text\n",
    "an alias to itself": b"graph: &g {a: *g}\n",
    "an alias to nothing": b"graph: *nothing\n",
    "a bomb": BOMB.encode(),
    "a bomb in the graph": b"graph:\n"
    + b"".join(b"  " + line + b"\n" for line in BOMB.encode().splitlines()),
    "code": b"graph: !!python/object/apply:os.system ['touch broken']\n",
    "a tag": b"graph: !mine {a: 1}\n",
    "a set": b"targets: !!set {a, b}\n",
    "binary": b"targets: !!binary aGVsbG8=\n",
    "a date": b"seed: 2024-01-01\n",
    "sixty": b"seed: 1:30\n",
    "deep": b"graph: " + b"[" * 3000 + b"]" * 3000 + b"\n",
    "deep mappings": b"graph: " + b"{a: " * 500 + b"1" + b"}" * 500 + b"\n",
    "a list of 20,000": b"targets: [" + b",".join([b"a"] * 20000) + b"]\n",
    "a mapping of 20,000": b"graph: {" + b",".join(b"a%d: {}" % n for n in range(20000)) + b"}\n",
    "megabytes": b"# " + b"x" * 5_000_000 + b"\ngraph: {}\n",
    "a package of no form": b"# @package a b c\ngraph: {}\n",
    "a package nowhere": b"# @package a.b.c\ngraph: {}\n",
    "a package of dots": b"# @package ...\ngraph: {}\n",
    "includes itself": b"# @package _global_\ndefaults: [fuzz]\n",
    "includes itself by group": b"# @package _global_\ndefaults: [{/recipe@x: fuzz}]\n",
    "overrides itself": b"# @package _global_\ndefaults: [{override /recipe: fuzz}]\n",
    "defaults of text": b"defaults: sum\n",
    "defaults of a number": b"defaults: 4\n",
    "defaults of null": b"defaults: [null]\n",
    "defaults of lists": b"defaults: [[a]]\n",
    "defaults of two keys": b"defaults: [{a: 1, b: 2}]\n",
    "self twice": b"defaults: [_self_, _self_]\n",
    "defaults of a missing file": b"defaults: [nowhere]\n",
    "sets hydra": b"# @package _global_\nhydra: 4\n",
    "a search path": b"# @package _global_\nhydra: {searchpath: 4}\n",
    "a launcher of code": b"# @package _global_\nhydra: {launcher: {_target_: os.system}}\n",
    "sections of another form": b"# @package _global_\nstore: 4\noutputs: []\nruntime: x\n",
}


def spoilt(body: Any, chance: random.Random) -> bytes:
    """Return YAML with a value replaced, deleted or added."""
    body = copy.deepcopy(body)
    *way, last = chance.choice(paths(body))
    inside = body
    for name in way:
        inside = inside[name]
    match chance.randrange(6):
        case 0:
            del inside[last]
        case 1 if isinstance(inside, dict):
            inside[f"{last}x"] = chance.choice(ODD)
        case _:
            inside[last] = chance.choice(ODD)
    text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
    return f"# @package _global_\n{text}".encode() if "title" not in body else text.encode()


def files() -> list[tuple[str, bytes, list[str]]]:
    """Return (path, content, command line), the same ones at every call."""
    chance = random.Random(21)
    found = []
    typed = {
        "recipe": ["recipe=fuzz"],
        "source": ["recipe=sum", "source=fuzz"],
        "sweep": ["sweep=fuzz"],
    }
    for name, text in TEXTS.items():
        for menu in ["recipe", "source"] if len(text) < 2000 else ["recipe"]:
            found.append((f"{menu}/fuzz.yaml", text, typed[menu]))
        if name.startswith(("a ", "includes", "defaults")) and len(text) < 2000:
            found.append(("sweep/fuzz.yaml", text, typed["sweep"]))
    for menu, body, count in (("recipe", RECIPE, 70), ("source", PRESET, 50), ("sweep", SWEEP, 30)):
        found += [(f"{menu}/fuzz.yaml", spoilt(body, chance), typed[menu]) for _ in range(count)]
    return found


def names_it(text: str, content: bytes) -> bool:
    """Return whether an error names the file, or one of its keys."""
    if "fuzz" in text or "no stage 'source'" in text:
        return True
    try:
        loaded = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    keys = {str(part).rpartition("/")[2] for path in paths(loaded) for part in path if str(part)}
    return any(key in text for key in keys - {"0", "1", "2"})


@in_shares
def test_no_file_ends_in_a_traceback_and_errors_name_it(
    ask: Callable[..., Any], tmp_path: Path, share: Share[tuple[str, bytes, list[str]]]
) -> None:
    tried = files()
    assert len(tried) >= 250
    tried = share(tried)
    faults, unnamed = [], []
    for place, content, words in tried:
        shutil.rmtree(tmp_path / "mine", ignore_errors=True)
        file = tmp_path / "mine" / place
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        answer = ask("plan", "-cd", str(tmp_path / "mine"), *words)
        if answer.fault():
            faults.append((place, content[:300], answer.code, answer.text))
        elif answer.code and not names_it(answer.text.replace(str(tmp_path), ""), content):
            unnamed.append((place, content[:300], answer.text))
    report = "\n".join(f"{p} {c!r}: {code} {t[-500:]}" for p, c, code, t in faults)
    assert not faults, f"{len(faults)} of {len(tried)}:\n{report}"
    named = "\n".join(f"{p} {c!r}: {t[-400:]}" for p, c, t in unnamed)
    assert not unnamed, f"{len(unnamed)} of {len(tried)} name nothing:\n{named}"
    assert not (tmp_path / "broken").exists(), "code of a file ran"

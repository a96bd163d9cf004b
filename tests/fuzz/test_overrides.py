"""For any command line, the result is a plan or an error that names what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from fuzz.shares import Share, in_shares

KEYS = (
    *("source", "adder", "adder@other", "other", "total", "recipe", "runtime", "sweep"),
    *("source.value", "source.value.x", "adder.amount", "total.factor", "source.nothing"),
    *("source.inner", "source.inner.depth", "source.inner.names", "source.parts", "source.parts.0"),
    *("source.weights", "source.weights.x", "source.title", "source.shape", "source.count"),
    *("graph", "graph.adder", "graph.adder.number", "graph.total.numbers", "graph.nobody"),
    *("targets", "targets.0", "seed", "outputs", "store", "store.path", "store.path.x"),
    *("runtime.threads", "runtime.device", "runtime.accelerator", "runtime.nothing", "runtime@x"),
    *("nothing", "a.b.c", "a@b", "a/b", "@", "", ".", "..", "a..b", "graph@x", "_target_"),
    *("source._target_", "hydra", "hydra.mode", "hydra.run.dir", "hydra.job.name", "hydra.nothing"),
    *("hydra/launcher", "hydra/sweeper", "hydra.searchpath", "hydra.sweeper.params", "défaut"),
)
VALUES = (
    *("", "null", "true", "1", "-1", "4", "1.5", "8.0", "1e400", "1e-400", "inf", "-inf", "nan"),
    *("x", "ROUND", "round", "sum", "number", "settled", "three", "add", "source", "adder"),
    *("[]", "{}", "[[]]", "[null]", "[source]", "[1,x]", "[[source]]", "{a: 1}", "{a: {b: []}}"),
    *("{1: 2}", "{null: 1}", "{x: }", "{value: 2}", "{number: source}", "''", '""', "'a b'", '"'),
    *(
        "'",
        "a b",
        "a=b",
        "a,b",
        "1,2",
        "[1,2",
        "{a",
        "a:b",
        "a@b",
        "#",
        "a#b",
        "~",
        "~/x",
        "$",
        "$x",
    ),
    *("${", "${}", "${seed}", "${nothing}", "${source.value}", "${source}", "${graph}", "${.}"),
    *("${..seed}", "${oc.env:HOME}", "${oc.env:NO_SUCH}", "${oc.env:HOME,x}", "${now:%Y}"),
    *("${hydra:job.num}", "${hydra:nothing}", "${no_such:1}", "${oc.decode:'['}", "\\${x}"),
    *("${oc.create:[1]}", "${oc.select:nothing,3}", "${oc.deprecated:seed}", "${oc.dict.keys:a}"),
    *("glob(*)", "range(3)", "range(0)", "range(1,1000000000)", "range(0,1,0)", "range(0,1,1e-9)"),
    *("choice(1,2)", "choice()", "interval(0,1)", "sort(2,1)", "shuffle(range(3))", "tag(a,1,2)"),
    *("int(x)", "int(3.5)", "str([1])", "float([1,2])", "bool(maybe)", "json_str({})", "f(x)"),
    *(
        "/a/b",
        "/a/b=c",
        "./x",
        "../..",
        "a/../b",
        "file:///x",
        "ü",
        "日本",
        "\udc80",
        "\x00",
        "\x1b[31m",
    ),
    *(
        "???",
        "..",
        ".",
        "-",
        "--",
        "*",
        "%s",
        "{}{}",
        "!!python/object:os.system",
        "<b>",
        "\\",
        "a\\",
    ),
    *("9" * 400, "x" * 5000, "[" * 400 + "]" * 400, "{a:" * 300 + "1" + "}" * 300),
    "[" + ",".join(["1"] * 20000) + "]",
    ",".join(map(str, range(20000))),
)
PREFIXES = ("", "", "", "", "+", "++", "~")
ALONE = (
    *("recipe", "=", "==", "=x", "~", "+", "++", "-", "--", "-x", "--no-such", "-m -m"),
    "~recipe",
    *(
        "~adder",
        "~adder@other",
        "~graph",
        "~graph.total",
        "~targets",
        "~seed",
        "~store",
        "~runtime",
    ),
    *("~source.value", "~nothing", "~hydra", "~hydra.job", "~outputs", "~store.path", "+a", "a b"),
    *("graph.other=null targets=[other]", "store=/path", "compressor=null", "runtime=4"),
    *("recipe=null", "-m source.value=glob(*)", "-m adder=glob(*)", "-m adder=glob(no*)"),
    *("-m source.value=1,2 -m", "--multirun source.value=", "-m source.value=range(1,1e12)"),
    *(
        "-m source.value=range(100) seed=range(100) adder.amount=range(100)",
        "-m seed=interval(0,1)",
    ),
    *("source=settled source.parts=[1,null]", "source=settled source.count=4.0"),
    *("source=settled source.weights={1: 2}", "source=settled source.weights=${source.weights}"),
    *("source=settled source.title=${..source.title}", "graph.adder.number=${graph.adder.number}"),
    *("source.value=${adder.amount} adder.amount=${source.value}", "graph=${graph}", "graph={}"),
    *("graph.adder=${graph.total}", "graph.total.numbers=${targets}", "targets=${targets}"),
    *("-cd nowhere", "-cd", "-cn other", "-cp /tmp", "--cfg", "--cfg job", "--cfg x", "--info x"),
    *("--package x", "--resolve", "--hydra-help", "--version", "-c all", "-sc install=bash"),
)


def command_lines() -> list[list[str]]:
    """Return command lines, the same ones at every call."""
    chance = random.Random(20)
    lines = [line.split(" ") if line[0] in "-gs" else [line] for line in ALONE]
    for value in VALUES:
        for _ in range(3):
            word = f"{chance.choice(PREFIXES)}{chance.choice(KEYS)}={value}"
            lines.append((["-m"] if chance.random() < 0.2 else []) + [word])
    lines += [[f"{key}={chance.choice(VALUES)}"] for key in KEYS]
    return lines


def offenders(words: list[str]) -> list[str]:
    """Return the names that an error may use for a wrong word: parts of its key, or the word."""
    found = []
    for word in words:
        key, _, value = word.partition("=")
        key = key.lstrip("+~")
        found += [word, key, *(part for part in key.replace("@", ".").split(".") if part)]
        found += [value] if 0 < len(value) < 50 else []
    return [part for part in found if part and part != "-m"]


@in_shares
def test_no_override_ends_in_a_traceback_and_errors_name_it(
    ask: Callable[..., Any], share: Share[list[str]]
) -> None:
    lines = command_lines()
    assert len(lines) >= 500
    lines = share(lines)
    faults, unnamed = [], []
    for words in lines:
        recipe = (
            [] if any(word.lstrip("+~").startswith("recipe") for word in words) else ["recipe=sum"]
        )
        settled = ["source=settled"] if any("source." in word for word in words) else []
        settled = (
            [] if any(word.startswith(("source=", "source.value")) for word in words) else settled
        )
        answer = ask("plan", *recipe, *settled, *words)
        if answer.fault():
            faults.append((words, answer.code, answer.text))
        elif not answer.names(*offenders(words)):
            unnamed.append((words, answer.text))
    report = "\n".join(f"{str(w)[:150]}: {c} {t[-600:]}" for w, c, t in faults)
    assert not faults, f"{len(faults)} of {len(lines)}:\n{report}"
    named = "\n".join(f"{str(w)[:150]}: {t[-400:]}" for w, t in unnamed)
    assert not unnamed, f"{len(unnamed)} of {len(lines)} name nothing:\n{named}"

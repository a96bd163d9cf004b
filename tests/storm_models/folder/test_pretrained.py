"""transformers reads only files of the folder, and runs no code beside a model."""

import ast
import json
import os
import pathlib
import pty
import subprocess
import sys

import pytest

from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.sources.path import Path
from storm_models.testing import make_checkpoint

ROOT = pathlib.Path(__file__).parents[3]


def calls(name):
    """Yield (file, call) for every call of `name` in the project's own code."""
    for file in sorted((ROOT / "plugins").rglob("*.py")) + sorted(
        (ROOT / "storm_exp").glob("*.py")
    ):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if name == (
                called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            ):
                yield file, node


def test_every_from_pretrained_stands_in_one_file():
    assert {file.name for file, _ in calls("from_pretrained")} == {"pretrained.py"}


def test_whoever_can_run_code_is_told_not_to():
    told = {"load_dataset": "trust_remote_code", "oneshot": "trust_remote_code_model"}
    for name, option in told.items():
        found = list(calls(name))
        assert found
        for file, call in found:
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            assert isinstance(given.get(option), ast.Constant), file
            assert given[option].value is False, file


def with_code(folder, kind):
    """Return a folder whose `kind` (config or tokenizer) comes with code that leaves a mark."""
    make_checkpoint(folder)
    mark = folder / "ran"
    (folder / "own.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast\n"
        "class Config(LlamaConfig):\n    model_type = 'of_its_own'\n"
        "class Model(LlamaForCausalLM):\n    config_class = Config\n"
        "class Tokenizer(PreTrainedTokenizerFast):\n    pass\n"
    )
    if kind == "config":
        code = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
        changes = {"model_type": "of_its_own", "auto_map": code}
        file = folder / "config.json"
    else:
        code = {"AutoTokenizer": ["own.Tokenizer", "own.Tokenizer"]}
        changes = {"tokenizer_class": "Tokenizer", "auto_map": code}
        file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["config", "tokenizer"])
def test_code_of_a_repository_does_not_run_when_yes_is_typed(kind, tmp_path):
    folder = with_code(tmp_path / "model", kind)
    program = (
        "import pathlib, sys\n"
        "from storm_exp import InputError\n"
        "from storm_models.checkpoint.checkpoint import Checkpoint\n"
        "model = Checkpoint(pathlib.Path(sys.argv[1]))\n"
        "for use in (model.tokenizer, model.load):\n"
        "    try:\n        use()\n"
        "    except Exception as error:\n        print(type(error).__name__, error)\n"
    )
    parent, child = pty.openpty()
    os.write(parent, b"y\ny\ny\n")
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        stdin=child,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=120,
    )
    os.close(parent)
    os.close(child)
    assert not (folder / "ran").exists(), done.stdout
    assert "Do you wish to run" not in done.stdout


def test_a_config_that_needs_code_is_refused_at_plan_time(tmp_path):
    folder = with_code(tmp_path / "model", "config")
    with pytest.raises(InputError, match=r"no model_type .of_its_own., and code .* never run"):
        Path(path=str(folder)).plan_spec()
    with pytest.raises(InputError, match="needs the code beside the model"):
        Checkpoint(folder).load()


def test_a_family_of_tomorrow_is_refused_at_plan_time(tmp_path):
    folder = make_checkpoint(tmp_path / "model").directory
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"llama"', '"llama9"'))
    with pytest.raises(InputError, match="no model_type 'llama9', is it newer"):
        Path(path=str(folder)).plan_spec()

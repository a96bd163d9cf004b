"""The component `command` runs a user's program as a stage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storm_command.checkpoint_command import CheckpointCommand
from storm_exp import FileDigests, InputError, SettingError
from storm_exp.testing import make_stage
from storm_inference.programs import guardian
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_model

COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2], dirs_exist_ok=True)"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint(make_model(tmp_path_factory.mktemp("command") / "model"))


def test_a_program_gets_paths_and_leaves_a_checkpoint(model: Checkpoint, tmp_path: Path) -> None:
    script = tmp_path / "with a space.py"
    script.write_text(COPY, encoding="utf-8")
    command = CheckpointCommand(line=f"{sys.executable} '{script}' {{model}} {{out}}", seed=0)
    made = command.run(make_stage(tmp_path, "out"), model=model)
    assert made.spec() == model.spec()


def test_each_of_several_models_is_an_argument(model: Checkpoint, tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text("import sys; sys.exit(len(sys.argv) - 2)", encoding="utf-8")
    command = CheckpointCommand(line=f"{sys.executable} {script} {{out}} {{models}}", seed=0)
    with pytest.raises(InputError, match="ended with exit code 3"):
        command.run(make_stage(tmp_path, "out"), models=[model, model, model])


def test_a_failing_program_says_its_last_words(tmp_path: Path) -> None:
    line = f"{sys.executable} -c 'raise SystemExit(\"no {{out}}\")'"
    command = CheckpointCommand(line=line, seed=0)
    with pytest.raises(InputError, match=r"ended with exit code 1:\nno .*/out"):
        command.run(make_stage(tmp_path, "out"))


def test_a_program_that_leaves_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        CheckpointCommand(line="true {out}", seed=0).run(make_stage(tmp_path, "out"))


@pytest.mark.parametrize("line", ["train.sh", "train.sh {out} {modl}", "train.sh {out} {0}"])
def test_a_line_without_its_places_is_refused(line: str) -> None:
    with pytest.raises(SettingError, match="line="):
        CheckpointCommand(line=line, seed=0)


def test_a_program_that_does_not_exist_is_refused_at_plan_time() -> None:
    with pytest.raises(SettingError, match="no program 'trian'"):
        CheckpointCommand(line="trian {out}", seed=0).plan_spec()


def test_the_contents_of_what_it_reads_enter_the_key(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    digests = FileDigests(tmp_path / "digests.json")
    command = CheckpointCommand(line="python {out}", reads=[str(script)], seed=0)
    with pytest.raises(SettingError, match="no such file"):
        command.fingerprint(digests)
    script.write_text("one", encoding="utf-8")
    first = command.fingerprint(digests)
    script.write_text("two!", encoding="utf-8")
    assert command.fingerprint(digests) != first
    assert str(tmp_path) not in str(first)


def test_a_program_that_a_signal_ended_says_which(tmp_path: Path) -> None:
    command = CheckpointCommand(line="sh -c 'kill -TERM $$' {out}", seed=0)
    with pytest.raises(InputError, match="ended with exit code -15"):
        command.run(make_stage(tmp_path, "out"))


def test_nothing_that_a_program_started_outlives_it(model: Checkpoint, tmp_path: Path) -> None:
    script = tmp_path / "leaves.py"
    left = "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    left += f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    script.write_text(f"import subprocess\n{left}{COPY}", encoding="utf-8")
    command = CheckpointCommand(line=f"{sys.executable} {script} {{model}} {{out}}", seed=0)
    assert command.run(make_stage(tmp_path, "out"), model=model).spec() == model.spec()
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


@pytest.mark.slow
def test_a_program_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "deaf.py"
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
    script.write_text(f"import signal, time\n{deaf}time.sleep(600)", encoding="utf-8")
    guarded = [sys.executable, "-I", guardian.__file__, sys.executable, str(script)]
    pipe = subprocess.PIPE
    with subprocess.Popen(guarded, stdin=pipe, stdout=pipe) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"deaf\n"
        process.stdin.close()
        assert process.wait(guardian.PATIENCE_SECONDS + 10) == -9

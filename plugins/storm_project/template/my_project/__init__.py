"""What this project brings to storm-exp: a curator, and configurations in `conf`."""

from pathlib import Path

from my_project.short_answers import ShortAnswers
from storm_exp import hookimpl

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    return [ShortAnswers]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    return ("pyarrow",), ""


@hookimpl
def storm_config_folder() -> str:
    return str(Path(__file__).parent / "conf")

"""A generated miniature world, in which the whole of Storm runs on two CPU cores.

Everything is generated: questions and right answers (``skills``), the corruption of answers
(``corruption``), rated examples (``rating``), the mixed pool to be curated (``sources``), and the
base model's pretraining text (``pretraining_text``). As the generator knows the truth, a run can
measure how well the judge judged and whether each step helped.
"""

from __future__ import annotations

from pathlib import Path

from storm_exp import hookimpl

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the world's base model, corpora, oracle and partner."""
    from storm_tinyworld.base_model.base_model import Tinyworld
    from storm_tinyworld.corpora.documents import TinyworldCode, TinyworldText
    from storm_tinyworld.corpora.leaky import TinyworldLeaks
    from storm_tinyworld.corpora.pool import TinyworldPool
    from storm_tinyworld.corpora.preferences import TinyworldPreferences
    from storm_tinyworld.corpora.questions import TinyworldQuestions
    from storm_tinyworld.corpora.sibling import TinyworldSibling
    from storm_tinyworld.oracle import TinyworldOracle

    return [
        Tinyworld,
        TinyworldPool,
        TinyworldText,
        TinyworldCode,
        TinyworldQuestions,
        TinyworldPreferences,
        TinyworldOracle,
        TinyworldSibling,
        TinyworldLeaks,
    ]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers", "tokenizers", "lightning", "pyarrow"), "train"


@hookimpl
def storm_config_folder() -> str:
    """Return the folder of the world's presets, recipes and sweeps."""
    return str(Path(__file__).parent / "conf")

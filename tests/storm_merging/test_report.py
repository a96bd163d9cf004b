import pytest

from made_up import Maker, cell, show
from storm_exp.testing import make_stage
from storm_merging.methods.linear import Linear
from storm_merging.methods.slerp import Slerp


@pytest.fixture
def shown(tmp_path, models):
    """The report on a merge, read back."""
    import json

    def run(merger, count):
        merged = merger.run(make_stage(tmp_path), models[:count])
        contents = json.loads((merged.directory / "merge.json").read_text())
        make = Maker(tmp_path)
        stage = make.stage("merger", "Checkpoint", {"merge.json": contents})
        return show(make.run(cell(stage))).text

    return run


def test_the_report_counts_what_was_truly_slerped(shown):
    text = shown(Slerp(t=0.3), 2)
    assert "Angle between the parents' tensors in degrees" in text
    assert "14 of 21 tensors were interpolated along the arc, the others along the line" in text


def test_the_report_tells_whose_rows_a_model_has(tmp_path):
    filled = {"model": 2, "tokens": 1200, "first": ["<a>", "b"], "has": "the rows of model 1"}
    told = {"tokenizer_of": 1, "tokens": 5000, "rows": 5024, "added": 3, "filled": [filled]}
    make = Maker(tmp_path)
    contents = {"method": "ties", "tensors": 2, "parameters": {}, "vocabulary": told}
    stage = make.stage("merger", "Checkpoint", {"merge.json": contents})
    text = show(make.run(cell(stage))).text
    assert "5,000 tokens in 5,024 rows; the tokenizer is that of model 1, with 3 tokens" in text
    assert "'<a>', 'b'" in text
    assert "the rows of model 1" in text


def test_the_report_names_the_shares_of_a_mean(shown):
    text = shown(Linear(weights=[1.0, 1.0, 2.0]), 3)
    assert "linear: weights 0.25, 0.25, 0.5" in text
    assert "Angle" not in text

import json

from made_up import Maker, cell, show
from storm_models.checkpoint.depth import write_record


def test_what_carries_a_record_on_is_not_shown_again(tmp_path):
    write_record(tmp_path, [0, 1, 1])
    payload = {"surgery.json": json.loads((tmp_path / "surgery.json").read_text())}
    make = Maker(tmp_path)
    expanded = make.stage("merger", "Checkpoint", payload)
    tuned = make.stage("finetuner", "Checkpoint", payload)
    text = show(make.run(cell(expanded, tuned))).text
    assert text.count("The source of every layer") == 1

"""What a report says of scans and prunings, from the payloads that the components leave."""

import json

import pytest

from families import family_checkpoint
from made_up import Maker, cell, show
from storm_exp.testing import make_stage
from storm_minitron import report as minitron
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.depth.minitron_depth import MinitronDepth
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models import report as models


@pytest.fixture(scope="module")
def made(chats, tmp_path_factory):
    """The payloads of two scans and two prunings: {file name: content}."""
    folder = tmp_path_factory.mktemp("made")
    model = family_checkpoint(folder / "model", "llama", num_hidden_layers=4)
    importance = ImportanceScanner(seed=0, max_length=64).run(
        make_stage(folder, "importance"), model, chats
    )
    blocks = BlockImportanceScanner(seed=0, counts=[2], max_length=64).run(
        make_stage(folder, "blocks"), model, chats
    )
    quick = BlockImportanceScanner(seed=0, max_length=64).run(
        make_stage(folder, "quick"), model, chats
    )
    width = MinitronWidth(hidden_size=24, heads=2).run(
        make_stage(folder, "width"), model, importance
    )
    depth = MinitronDepth(drop=[0, 1, 3]).run(make_stage(folder, "depth"), model)

    def read(artifact, name):
        return json.loads((artifact.directory / name).read_text())

    return {
        "importance": read(importance, "importance.json"),
        "blocks": read(blocks, "blocks.json"),
        "quick": read(quick, "blocks.json"),
        "width": read(width, "pruning.json"),
        "depth": read(depth, "pruning.json"),
        "surgery": read(depth, "surgery.json"),
    }


def test_what_was_kept_stands_beside_what_was_there(made):
    html = str(minitron.pruning(made["width"]))
    assert "24 of 32 (75%) with" in html
    assert "2 of 4 (50%) with" in html
    assert "64 of 64 (100%) with 100.0% of the importance" in html
    before, after = made["width"]["parameters"]
    assert f"{after:,} of {before:,}" in html


def test_dropped_layers_are_named(made):
    html = str(minitron.pruning(made["depth"]))
    assert "Dropped: 0 to 1, 3 of the layers 0 to 3, as given." in html
    assert "1 of 4 (25%)" in html


def test_scans_show_their_curves_and_the_runs_missed_least(made):
    assert "from the activations of 14 rows" in str(minitron.importance(made["importance"]))
    html = str(minitron.blocks(made["blocks"]))
    assert "without each run of layers" in html and "whole model" in html
    assert "block influence" in html
    assert "Block influence" in str(minitron.blocks(made["quick"]))


def test_a_deeper_model_shows_which_layers_are_copies():
    html = str(models.layers({"source_layers": [0, 1, 1, 2], "new_layers": [2]}))
    assert "4 layers, made from 3, 1 of them added copies" in html and "added copy" in html


def test_every_scan_and_pruning_has_its_section(made, tmp_path):
    make = Maker(tmp_path)
    stages = [
        make.stage("importance", "Importance", {"importance.json": made["importance"]}),
        make.stage("blocks", "BlockImportance", {"blocks.json": made["blocks"]}),
        make.stage("width", "Checkpoint", {"pruning.json": made["width"]}),
        make.stage(
            "depth", "Checkpoint", {"pruning.json": made["depth"], "surgery.json": made["surgery"]}
        ),
    ]
    text = show(make.run(cell(*stages))).text
    for title in (
        "Importance of channels, neurons and heads",
        "Importance of layers",
        "Pruning",
        "Layers",
    ):
        assert title in text
    for words in (
        "most important channels",
        "least important run",
        "Dropped: 0 to 1, 3",
        "The source of every layer",
    ):
        assert words in text

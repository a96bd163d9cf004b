"""Every component that writes a model copies its generation config."""

import json

import pytest

from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.testing import make_chats
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_export.bf16 import Bf16
from storm_export.fp8_dynamic import Fp8Dynamic
from storm_export.fp8_static import Fp8Static
from storm_merging.methods.block_expand import BlockExpand
from storm_merging.methods.slerp import Slerp
from storm_models.folder.generation_config import (
    read_generation_config,
    special_ids,
    write_generation_config,
)
from storm_models.testing import make_checkpoint
from storm_training.loop.finetuned_checkpoint import write_checkpoint

FILE = "generation_config.json"


@pytest.fixture
def vicuna(tmp_path):
    """Return a model whose generation config transformers reads but would not write."""
    model = make_checkpoint(tmp_path / "vicuna")
    said = {"temperature": 0.9, "top_p": 0.6, "eos_token_id": [1, 2], "pad_token_id": 0}
    write_generation_config(model.directory, said)
    return model


def finetuned(stage, model):
    return write_checkpoint(model, model.load("float32"), set(), stage.directory)


def statically(stage, model):
    file = make_chats(stage.directory.parent / "chats.jsonl", rows=9, characters=50)
    chats = ChatJsonl(path=str(file)).run(make_stage(stage.directory.parent, "chats"))
    return Fp8Static(samples=4, max_length=256, seed=0).run(stage, model, chats)


WRITERS = {
    "bf16": lambda stage, model: Bf16().run(stage, model),
    "fp8_dynamic": lambda stage, model: Fp8Dynamic().run(stage, model),
    "fp8_static": statically,
    "slerp": lambda stage, model: Slerp(t=0.5).run(stage, [model, model]),
    "block_expand": lambda stage, model: BlockExpand(every=1).run(stage, model),
    "finetuned": finetuned,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_file_is_carried_over_as_it_is(writer, vicuna, tmp_path):
    result = WRITERS[writer](make_stage(tmp_path), vicuna)
    assert (result.directory / FILE).read_bytes() == (vicuna.directory / FILE).read_bytes()
    loaded = result.load().generation_config
    assert (loaded.temperature, loaded.eos_token_id) == (0.9, [1, 2])


def test_what_is_written_is_read(tmp_path):
    assert read_generation_config(tmp_path) is None
    write_generation_config(tmp_path, {"eos_token_id": [2, 1], "do_sample": True})
    assert read_generation_config(tmp_path) == {"eos_token_id": [2, 1], "do_sample": True}
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(InputError, match=FILE):
        read_generation_config(tmp_path)


def test_ids_are_lists_of_whole_numbers():
    said = {"eos_token_id": [1, 2], "bos_token_id": 0, "pad_token_id": None}
    assert special_ids(said, "x") == {"eos_token_id": [1, 2], "bos_token_id": [0]}
    for odd in ("1", 1.0, True, [1, None], {}):
        with pytest.raises(InputError, match="x: eos_token_id="):
            special_ids(json.loads(json.dumps({"eos_token_id": odd})), "x")

"""The ids of a tokenizer and of special tokens have rows in the embedding."""

import json

import pytest

from storm_command.checkpoint_command import CheckpointCommand
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_models.sources.path import Path
from storm_models.testing import make_byte_tokenizer, make_checkpoint


@pytest.fixture
def folder(tmp_path):
    return make_checkpoint(tmp_path / "model").directory


def change(file, **values):
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**content, **values}))


def test_tokens_beyond_the_embedding_are_named_at_plan_time(folder, tmp_path):
    tokenizer = make_byte_tokenizer()
    rows = len(tokenizer)
    tokenizer.add_tokens(["<call>", "</call>"])
    tokenizer.save_pretrained(folder)
    problem = rf"embedding of {rows} rows.*'<call>' \({rows}\), '</call>' \({rows + 1}\)"
    with pytest.raises(InputError, match=problem):
        Path(path=str(folder)).plan_spec()
    command = CheckpointCommand(line=f"cp -r {folder}/. {{out}}", seed=0)
    with pytest.raises(InputError, match="<call>"):
        command.run(make_stage(tmp_path, "copied"))


def test_a_padded_embedding_is_no_fault(tmp_path):
    model = make_checkpoint(tmp_path / "padded", vocab_size=300)
    assert Path(path=str(model.directory)).plan_spec().parameters


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("eos_token_id", 9000), ("eos_token_id", [1, 9000]), ("bos_token_id", -1)],
)
def test_ids_of_special_tokens_lie_in_the_vocabulary(folder, file, name, value):
    change(folder / file, **{name: value})
    with pytest.raises(InputError, match=rf"{file}: {name}=(9000|-1) is not in the vocabulary"):
        Path(path=str(folder)).plan_spec()


def test_early_configs_say_that_there_is_no_padding(folder):
    change(folder / "config.json", pad_token_id=-1)
    assert Path(path=str(folder)).plan_spec().parameters


def test_tokens_of_older_files_count_as_well(folder):
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    assert Path(path=str(folder)).plan_spec().parameters
    (folder / "added_tokens.json").write_text(json.dumps({"<late>": 5000}))
    with pytest.raises(InputError, match=r"'<late>' \(5000\)"):
        Path(path=str(folder)).plan_spec()

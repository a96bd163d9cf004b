from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.testing import make_checkpoint
from storm_training.components.pretraining import Pretraining
from storm_training.components.sft import Sft
from storm_training.data.token_set import PREFERENCES, TokenSetSpec
from storm_training.testing import make_chats, tokenise_chats
from storm_training.trainable.layer_table import LayerTableSpec
from storm_training.trainable.settings import TrainableSettings
from storm_training.trainable.snr_scanner import SnrScanner

FEW = {
    "steps": 4,
    "sequence_length": 96,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "precision": "float32",
    "seed": 0,
}


def changed(before: Checkpoint, after: Checkpoint) -> set[str]:
    assert after.headers() == before.headers()
    return {
        name
        for name in before.headers()
        if not torch.equal(before.tensor(name), after.tensor(name))
    }


def spectrum(**choice) -> Sft:
    return Sft(**FEW, weight_decay=0.1, trainable=TrainableSettings(method="spectrum", **choice))


def record(result: Checkpoint) -> dict:
    return json.loads((result.directory / "training.json").read_text())


def test_tokens_of_another_tokenizer_are_refused_when_it_is_known_late(
    tmp_path, checkpoint, dataset
):
    other = make_checkpoint(tmp_path / "other", extra_tokens=("<|more|>",))
    tokens = tokenise_chats(tmp_path / "tokens", checkpoint, dataset)
    for finetuner in (Sft(**FEW), Pretraining(**FEW)):
        with pytest.raises(InputError, match="another tokenizer"):
            run_component(finetuner, make_stage(tmp_path, type(finetuner).__name__), other, tokens)


def test_sft_trains_everything_and_keeps_the_layout(tmp_path, checkpoint, dataset):
    stage = make_stage(tmp_path, "finetuner")
    tokens = tokenise_chats(tmp_path / "tokens", checkpoint, dataset)
    result = Sft(**FEW).run(stage, checkpoint, tokens)
    assert changed(checkpoint, result) >= {
        name for name, (_, shape) in checkpoint.headers().items() if len(shape) == 2
    }
    assert result.spec() == Sft(**FEW).plan_spec(checkpoint.spec(), tokens.spec())
    assert result.tokenizer().chat_template == checkpoint.tokenizer().chat_template
    assert (result.directory / "generation_config.json").is_file()
    noted = record(result)
    assert noted["rows"] == {"used": 40, "dropped": {}}
    assert noted["validation_rows"]["used"] == 8
    assert all(row["trained"] for row in noted["trainable"])
    assert stage.main_metric == "validation_loss"
    assert stage.metrics["validation_loss"] < noted["validation"][0]["loss"]


@pytest.mark.parametrize("tied", [False, True])
def test_spectrum_changes_the_chosen_tensors_and_no_bit_of_another(tmp_path, family, dataset, tied):
    model = make_checkpoint(
        tmp_path / "model", family, num_hidden_layers=4, tie_word_embeddings=tied
    )
    table = SnrScanner().run(make_stage(tmp_path, "scanner"), model)
    tokens = tokenise_chats(tmp_path / "tokens", model, dataset)
    result = spectrum().run(make_stage(tmp_path, "finetuner"), model, tokens, table)
    expected = set()
    for kind in {row["type"] for row in table.modules()}:
        rows = [row for row in table.modules() if row["type"] == kind]
        expected |= {row["name"] for row in sorted(rows, key=lambda row: -row["snr"])[:2]}
    biases = {name.replace("weight", "bias") for name in expected} & set(model.headers())
    heads = {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    assert changed(model, result) <= expected | biases | heads
    assert changed(model, result) >= expected | heads
    rows = record(result)["trainable"]
    assert {row["name"] for row in rows if row["trained"]} == expected | biases | heads
    assert {row["snr"] for row in rows if row["name"] in expected} == {
        row["snr"] for row in table.modules() if row["name"] in expected
    }
    loaded = result.load()
    assert (loaded.lm_head.weight is loaded.model.embed_tokens.weight) == tied


def test_a_tied_head_that_is_stored_stays_tied(tmp_path, dataset):
    model = make_checkpoint(tmp_path / "model", tie_word_embeddings=True)
    from safetensors.torch import save_file

    file = tmp_path / "model/model.safetensors"
    tensors = load_file(file)
    save_file(
        {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()},
        file,
        {"format": "pt"},
    )
    model = Checkpoint(model.directory)
    tokens = tokenise_chats(tmp_path / "tokens", model, dataset)
    result = Sft(**FEW).run(make_stage(tmp_path), model, tokens)
    trained = load_file(result.directory / "model.safetensors")
    assert torch.equal(trained["lm_head.weight"], trained["model.embed_tokens.weight"])


def test_a_model_in_several_files_comes_out_in_the_same_ones(tmp_path, dataset):
    model = make_checkpoint(tmp_path / "model")
    network = model.load()
    shutil.rmtree(tmp_path / "model")
    whole = make_checkpoint(tmp_path / "model")
    (tmp_path / "model/model.safetensors").unlink()
    network.save_pretrained(tmp_path / "model", max_shard_size="40KB")
    model = Checkpoint(whole.directory)
    tokens = tokenise_chats(tmp_path / "tokens", model, dataset)
    result = Sft(**FEW).run(make_stage(tmp_path), model, tokens)
    assert len(model.weight_files()) > 1
    assert [f.name for f in result.weight_files()] == [f.name for f in model.weight_files()]
    assert result.load().config == model.load().config


def test_two_runs_write_the_same_bytes(tmp_path, dataset):
    model = make_checkpoint(tmp_path / "model")
    tokens = tokenise_chats(tmp_path / "tokens", model, dataset)
    payloads = []
    for name in "ab":
        result = Sft(**FEW).run(make_stage(tmp_path, name), model, tokens)
        payloads.append({f.name: f.read_bytes() for f in sorted(result.directory.iterdir())})
    assert payloads[0] == payloads[1]


def test_rows_that_cannot_be_used_are_left_out_and_counted(tmp_path):
    data = make_chats(tmp_path / "data", rows=5, validation=0)
    rows = list(data.rows("train"))
    long = [{"role": "user", "content": "x" * 150}, {"role": "assistant", "content": "y"}]
    rows += [
        {"id": "long", "messages": long, "source": ""},
        {"id": "unanswered", "messages": long[:1], "source": ""},
    ]
    data.write("train", rows, chat_schema())
    model = make_checkpoint(tmp_path / "model")
    tokens = tokenise_chats(tmp_path / "tokens", model, data)
    stage = make_stage(tmp_path)
    result = Sft(**FEW).run(stage, model, tokens)
    assert record(result)["rows"] == {
        "used": 5,
        "dropped": {"longer than 96 tokens": 1, "nothing supervised": 1},
    }
    assert stage.main_metric == "training_loss"


def test_a_set_of_which_no_row_can_be_used_is_an_error(tmp_path):
    data = make_chats(tmp_path / "data", rows=3)
    model = make_checkpoint(tmp_path / "model")
    tokens = tokenise_chats(tmp_path / "tokens", model, data)
    with pytest.raises(InputError, match="sequence_length=4: all 3 examples are longer"):
        run_component(Sft(**{**FEW, "sequence_length": 4}), make_stage(tmp_path), model, tokens)


def test_pretraining_cuts_what_does_not_fit_and_loses_no_token(tmp_path):
    data = make_chats(tmp_path / "data", rows=3, validation=0)
    model = make_checkpoint(tmp_path / "model")
    tokens = tokenise_chats(tmp_path / "tokens", model, data)
    settings = Pretraining(**{**FEW, "sequence_length": 6, "steps": None, "batch_size": 100})
    result = settings.run(make_stage(tmp_path), model, tokens)
    assert record(result)["steps"][0]["supervised"] == tokens.sequences("train").targets()
    assert record(result)["objective"] == "pretraining"


def test_a_table_of_another_model_is_an_error(tmp_path, dataset):
    model = make_checkpoint(tmp_path / "model")
    other = make_checkpoint(tmp_path / "other", num_hidden_layers=3)
    table = SnrScanner().run(make_stage(tmp_path, "scanner"), other)
    tokens = tokenise_chats(tmp_path / "tokens", model, dataset)
    with pytest.raises(InputError, match="belongs to a model with other tensors"):
        spectrum().plan_spec(model.spec(), tokens.spec(), table.spec())
    with pytest.raises(InputError, match="belongs to a model with other tensors"):
        run_component(spectrum(), make_stage(tmp_path), model, tokens, table)


def test_what_cannot_work_fails_in_the_forecast():
    model, tokens = CheckpointSpec(shapes="s"), TokenSetSpec()
    layers = LayerTableSpec(shapes="s")
    assert spectrum().plan_spec(model, tokens, layers) == model
    with pytest.raises(InputError, match="needs the port 'layers'"):
        spectrum().plan_spec(model, tokens)
    with pytest.raises(InputError, match="another tokenizer"):
        Sft(**FEW).plan_spec(CheckpointSpec(tokenizer="a"), TokenSetSpec(tokenizer="b"))
    with pytest.raises(InputError, match="takes tokenised chats or documents, not preferences"):
        Sft(**FEW).plan_spec(model, TokenSetSpec(kind=PREFERENCES))
    with pytest.raises(InputError, match="quantised"):
        Sft(**FEW).plan_spec(CheckpointSpec(config={"quantization_config": {}}), tokens)
    tied = CheckpointSpec(config={"tie_word_embeddings": True})
    with pytest.raises(SettingError, match="tied"):
        spectrum(head=False).plan_spec(tied, tokens, layers)
    few = Sft(**FEW, trainable=TrainableSettings(method="last_layers", layers=5))
    with pytest.raises(SettingError, match="the model has 4 layers"):
        few.plan_spec(CheckpointSpec(config={"num_hidden_layers": 4}), tokens)


def test_only_spectrum_looks_at_the_table_of_layers():
    assert spectrum().idle_ports() == set()
    assert Sft(**FEW).idle_ports() == {"layers"}


def test_components_import_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, storm_training; storm_training.storm_components();"
        "assert not {'torch', 'numpy', 'transformers', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dataset_that_was_opened_elsewhere_is_not_written_to(tmp_path, dataset):
    before = {file.name: file.read_bytes() for file in dataset.directory.iterdir()}
    model = make_checkpoint(tmp_path / "model")
    tokenise_chats(tmp_path / "tokens", model, Dataset(dataset.directory))
    assert {file.name: file.read_bytes() for file in dataset.directory.iterdir()} == before

"""Related tiny models of four families, and mergekit's own merge of a YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from storm_exp.testing import make_stage
from storm_merging.mergefile.merge_file import read_merge_file
from storm_merging.mergefile.model_reference import ModelReference
from storm_merging.mergefile.recipe import merger_settings
from storm_merging.methods.merge_adapter import MergeAdapter
from storm_merging.methods.merge_yaml import MergeYaml
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint

EXAMPLES = Path(__file__).parent / "examples"
TIED = ("qwen2", "gemma2")


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with models of a family: a base, and two that were moved away from it.

    Weights are in fp32; the model `two` is stored in two files; Qwen2 and Gemma 2 tie their heads.
    """
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            sizes = {"num_hidden_layers": 4, "tie_word_embeddings": name in TIED}
            base = make_checkpoint(folder / "base", name, dtype="float32", **sizes)
            weights = load_file(base.directory / "model.safetensors")
            for seed, other in enumerate(("one", "two"), start=1):
                make_checkpoint(folder / other, name, dtype="float32", seed=seed, **sizes)
                generator = torch.Generator().manual_seed(seed)
                moved = {
                    key: tensor + 0.01 * seed * torch.randn(tensor.shape, generator=generator)
                    for key, tensor in weights.items()
                }
                save_file(moved, folder / other / "model.safetensors", {"format": "pt"})
            _shard(Checkpoint(folder / "two"))
            _adapt(Checkpoint(folder / "one"), folder / "adapter")
            made[name] = folder
        return made[name]

    return make


def _adapt(checkpoint: Checkpoint, folder: Path) -> None:
    """Save an adapter of a model."""
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["v_proj", "down_proj"])
    adapted = get_peft_model(checkpoint.load(), config)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    adapted.save_pretrained(folder)


def _shard(checkpoint: Checkpoint) -> None:
    """Store a model's weights in two files and an index."""
    file = checkpoint.directory / "model.safetensors"
    weights = load_file(file)
    file.unlink()
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2]}
    parts["model-00002-of-00002.safetensors"] = names[1::2]
    for part, chosen in parts.items():
        save_file({n: weights[n] for n in chosen}, checkpoint.directory / part, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {n: p for p, each in parts.items() for n in each}}
    (checkpoint.directory / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.fixture
def example(tmp_path: Path) -> Callable[[str, Path], Path]:
    """A function that writes an example for the models of a folder; returns the file."""

    def write(name: str, models: Path) -> Path:
        text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
        file = tmp_path / f"{name}.yaml"
        file.write_text(text.replace("MODELS", str(models)), encoding="utf-8")
        return file

    return write


def ours(file: Path, folder: Path, seed: int = 0) -> Checkpoint:
    """Return our merge by a YAML, made by the component alone."""
    merge = read_merge_file(file)
    models = merge.models()
    numbers = {model: number for number, model in enumerate(models, start=1)}
    settings = {"seed": seed, **merger_settings(merge, numbers)}
    merger = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MergeYaml), settings))
    assert isinstance(merger, MergeYaml)
    checkpoints = [_opened(model, folder / f"model-{i}") for i, model in enumerate(models)]
    merger.plan_spec([checkpoint.spec() for checkpoint in checkpoints])
    return merger.run(make_stage(folder), checkpoints)


def _opened(model: ModelReference, folder: Path) -> Checkpoint:
    """Return a model, with its adapter merged into it."""
    checkpoint = Checkpoint(Path(model.model.path))
    if model.lora is None:
        return checkpoint
    folder.mkdir(parents=True)
    return MergeAdapter(path=model.lora.path).run(make_stage(folder), checkpoint)


def mergekits(file: Path, folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of mergekit's own merge by a YAML."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    run_merge(
        MergeConfiguration.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))),
        str(folder),
        MergeOptions(
            quiet=True,
            write_model_card=False,
            copy_tokenizer=False,
            lora_merge_cache=str(folder.with_name("adapters")),
        ),
    )
    return load_file(folder / "model.safetensors")

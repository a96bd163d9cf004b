"""Low-rank updates (LoRA, Hu et al. 2021; QLoRA, Dettmers et al. 2023), through peft."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from transformers import PreTrainedModel

from storm_exp import InputError, SettingError, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.rotary import separate_documents
from storm_models.folder.pretrained import read_network
from storm_training.trainable.matrices import MODULE_TYPES
from storm_training.trainable.settings import TrainableSettings

_ADAPTER = "default"


def add_updates(network: PreTrainedModel, trainable: TrainableSettings, seed: int) -> set[str]:
    """Add LoRA updates to the chosen matrices of `network`, in place; return their parameter names.

    The updates start at zero. Raises SettingError for a type of matrix that the model lacks.
    """
    types = {name.rsplit(".", 1)[-1] for name, _ in network.named_modules()}
    for kind in trainable.modules:
        if kind not in types:
            raise SettingError("trainable.modules", kind, "the model has no such matrix")
    config = LoraConfig(
        r=trainable.rank,
        lora_alpha=trainable.alpha,  # type: ignore[arg-type]  # peft takes floats, too
        lora_dropout=trainable.dropout,
        target_modules=trainable.modules or [kind for kind in MODULE_TYPES if kind in types],
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, network, adapter_name=_ADAPTER)
    return {name for name, _ in network.named_parameters() if ".lora_" in name}


def weight_changes(network: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return {weight's name in the checkpoint: the update to add to it, fp32}."""
    return {
        f"{name}.weight": layer.get_delta_weight(_ADAPTER).detach().float().cpu()  # type: ignore[attr-defined]
        for name, layer in network.named_modules()
        if isinstance(layer, LoraLayer)
    }


def save_updates(network: PreTrainedModel, directory: Path) -> None:
    """Write the updates as an adapter in peft's layout, to be served without merging."""
    directory.mkdir()
    config = network.peft_config[_ADAPTER]
    config.inference_mode = True
    config.save_pretrained(directory)
    state: dict[str, Any] = get_peft_model_state_dict(network, adapter_name=_ADAPTER)
    tensors = {f"base_model.model.{n}": t.detach().contiguous().cpu() for n, t in state.items()}
    save_file(tensors, directory / "adapter_model.safetensors", {"format": "pt"})


def load_quantised(stage: StageContext, model: Checkpoint) -> PreTrainedModel:
    """Return the model in 4-bit NormalFloat on a GPU, prepared for QLoRA.

    Raises InputError when there is no GPU.
    """
    device = stage.runtime.device
    if not torch.cuda.is_available() or device == "cpu":
        raise InputError(
            "trainable.method=qlora needs a GPU: bitsandbytes keeps 4-bit weights there"
        )
    from peft import prepare_model_for_kbit_training
    from transformers import BitsAndBytesConfig

    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    network = read_network(
        model.materialise(stage).directory,
        quantization_config=quantisation,
        device_map={"": int(device.partition(":")[2] or os.environ.get("LOCAL_RANK", "0"))},
    )
    separate_documents(network)
    prepared: PreTrainedModel = prepare_model_for_kbit_training(
        network, use_gradient_checkpointing=False
    )
    return prepared

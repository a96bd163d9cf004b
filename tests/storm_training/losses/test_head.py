"""Losses through a model's head against the logits that transformers computes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

from storm_exp import InputError
from storm_training.data.packing import IGNORE_INDEX, PackedBatch
from storm_training.losses import Head, require_known_head
from storm_training.objectives.objective import next_token_loss

FAMILIES = {
    "llama": {},
    "qwen2": {"tie_word_embeddings": True},
    "gemma2": {"head_dim": 16, "final_logit_softcapping": 0.2},
    "gemma3_text": {"head_dim": 16},
    "cohere": {"logit_scale": 0.125},
    "granite": {"logits_scaling": 4.0},
    "phi": {},  # its head has a bias
}


def make(family, **more):
    config = AutoConfig.for_model(
        family,
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        **{**FAMILIES.get(family, {}), **more},
    )
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").float()
    bias = model.get_output_embeddings().bias
    if bias is not None:
        torch.nn.init.normal_(bias)
    return model


def batch_of(ids, labels):
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    documents = torch.arange(len(ids))[:, None].expand_as(ids)
    targets = int((labels != IGNORE_INDEX).sum())
    return PackedBatch(ids, positions, labels, documents, torch.arange(2), ids.numel(), targets)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_the_whole_logits(family):
    model = make(family)
    require_known_head(model)
    ids = torch.randint(97, (2, 9))
    labels = ids.roll(-1, 1).masked_fill(torch.rand(2, 9) < 0.4, IGNORE_INDEX)
    weights = list(model.parameters())
    ours = next_token_loss(model, batch_of(ids, labels))
    actual = torch.autograd.grad(ours, weights, allow_unused=True)
    logits = model(input_ids=ids, use_cache=False).logits
    theirs = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    expected = torch.autograd.grad(theirs, weights, allow_unused=True)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    for one, other in zip(actual, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one - other).norm() <= 1e-5 * other.norm()


def test_no_supervised_position_gives_no_loss_and_no_gradient():
    model = make("llama")
    ids = torch.randint(97, (2, 9))
    loss = next_token_loss(model, batch_of(ids, torch.full_like(ids, IGNORE_INDEX)))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not any(weight.grad.any() for weight in model.parameters())


def test_a_head_that_changes_its_logits_in_an_unknown_way_is_refused():
    model = make("hyperclovax", logits_scaling=4.0)
    with pytest.raises(InputError, match=r"HyperCLOVAX\w+ cannot be trained"):
        require_known_head(model)


def test_a_head_with_a_low_rank_update_is_refused():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(make("llama"), LoraConfig(r=2, target_modules=["lm_head"]))
    with pytest.raises(InputError, match=r"LlamaForCausalLM is a peft\.tuners\.lora"):
        Head.of(model.get_base_model())


def test_asking_leaves_the_model_as_it_was():
    model = make("llama").train()
    require_known_head(model)
    assert model.training and all(weight.grad is None for weight in model.parameters())

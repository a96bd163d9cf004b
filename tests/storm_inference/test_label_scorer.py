import random

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from storm_exp import InputError
from storm_inference.label_scorer import LabelScorer

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}
ANSWERS = [[3, 4, 5], [7, 8]]


def model_of(config_type, model_type, **further):
    torch.manual_seed(0)
    return model_type(config_type(**SIZES, **further)).eval()


def rows_of(count, shared=6):
    draw = random.Random(1)
    head = [draw.randrange(50) for _ in range(shared)]
    tails = [[9, 1, 2], [9, 8, 7, 6, 5]]
    examples = [[draw.randrange(50) for _ in range(draw.randint(1, 30))] for _ in range(count)]
    return [[head + example + tail for tail in tails] for example in examples]


@torch.no_grad()
def separately(model, rows):
    scores = []
    for row in rows:
        logits = [model(input_ids=torch.tensor([prompt])).logits[0, -1].double() for prompt in row]
        logs = [torch.log_softmax(values, -1) for values in logits]
        scores.append([values[ids].tolist() for values, ids in zip(logs, ANSWERS, strict=True)])
    return scores


def largest_gap(left, right):
    return max(
        abs(a - b)
        for row, other in zip(left, right, strict=True)
        for q, p in zip(row, other, strict=True)
        for a, b in zip(q, p, strict=True)
    )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("config_type", "model_type"),
    [
        (LlamaConfig, LlamaForCausalLM),
        (Qwen2Config, Qwen2ForCausalLM),
        (MistralConfig, MistralForCausalLM),
    ],
)
def test_questions_scored_together_have_the_scores_of_questions_scored_alone(
    config_type, model_type, attention
):
    model = model_of(config_type, model_type, attn_implementation=attention)
    rows = rows_of(7)
    together = LabelScorer(model, rows=3, step=8).score(rows, ANSWERS)
    assert largest_gap(together, separately(model, rows)) < 1e-4


def test_rows_without_a_common_prefix_are_scored():
    model = model_of(LlamaConfig, LlamaForCausalLM)
    rows = [[[1, 2], [3, 4, 5]], [[6], [7]]]
    scores = LabelScorer(model, rows=2, step=4).score(rows, ANSWERS)
    assert largest_gap(scores, separately(model, rows)) < 1e-4


def test_a_row_does_not_depend_on_its_neighbours():
    model, rows = model_of(LlamaConfig, LlamaForCausalLM), rows_of(4)
    scorer = LabelScorer(model, rows=4, step=64)
    others = [rows[0], *rows_of(4)[:0:-1]]
    assert scorer.score(rows, ANSWERS)[0] == scorer.score(others, ANSWERS)[0]


def test_progress_counts_each_row_once():
    steps = []
    LabelScorer(model_of(LlamaConfig, LlamaForCausalLM), rows=4, step=8).score(
        rows_of(9), ANSWERS, steps.append
    )
    assert sum(steps) == 9


def test_a_prompt_beyond_the_attention_window_is_an_error():
    model = model_of(MistralConfig, MistralForCausalLM, sliding_window=16)
    with pytest.raises(InputError, match="attention window of 16: lower max_length"):
        LabelScorer(model, rows=1, step=8).score([[[1] * 17, [2] * 3]], ANSWERS)


def test_a_prompt_beyond_the_models_positions_is_an_error():
    model = model_of(LlamaConfig, LlamaForCausalLM)
    with pytest.raises(InputError, match="longer than the model's 128 positions"):
        LabelScorer(model, rows=1, step=8).score([[[1] * 129, [2] * 3]], ANSWERS)


def test_a_model_with_other_than_attention_layers_is_an_error():
    model = model_of(LlamaConfig, LlamaForCausalLM)
    model.config.layer_types = ["linear_attention", "full_attention", "full_attention"]
    with pytest.raises(InputError, match="linear_attention"):
        LabelScorer(model, rows=1, step=8)

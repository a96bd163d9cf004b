"""Models and tokenizers that llama.cpp would compute differently are refused at plan time."""

import json

import pytest

from families import family_checkpoint
from storm_exp import InputError
from storm_export.gguf.architecture import architecture
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.vocabulary import check_kind
from storm_models.testing import make_byte_tokenizer, make_checkpoint

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
REFUSED = {
    "hidden_act='gelu'": ("llama", {"hidden_act": "gelu"}),
    "attention_bias": ("qwen3", {"attention_bias": True}),
    "tie_word_embeddings": ("gemma2", {"tie_word_embeddings": False}),
    "query_pre_attn_scalar=256": ("gemma2", {"query_pre_attn_scalar": 256}),
    "attn_logit_softcapping=None": ("gemma2", {"attn_logit_softcapping": None}),
    "final_logit_softcapping": ("gemma3_text", {"final_logit_softcapping": 30.0}),
    "rope_type='llama3'": (
        "qwen2",
        {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 32}},
    ),
    "rope_type='dynamic'": ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}),
    "attention_factor=1.0": (
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.0}},
    ),
    "beta_fast=16.0": (
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 16.0}},
    ),
    "4 heads of 16 channels": ("phi3", {"head_dim": 16}),
    "layer_types": (
        "gemma3_text",
        {"layer_types": ["sliding_attention", "full_attention", "full_attention"]},
    ),
    "quantised": ("llama", {"quantization_config": {"quant_method": "fp8"}}),
    "family 'granite'": ("granite", {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_llama_cpp_computes_differently_are_refused(name):
    family, sizes = REFUSED[name]
    config = {
        "model_type": family,
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "query_pre_attn_scalar": 8,
        **sizes,
    }
    with pytest.raises(InputError) as caught:
        architecture(config)
    assert name in str(caught.value)


def test_a_model_without_windows_in_llama_cpp_has_a_shorter_context(tmp_path):
    model = family_checkpoint(tmp_path, "mistral")
    described = architecture(model.config())
    assert described.keys["llama.context_length"] == 8 < model.config()["max_position_embeddings"]
    assert "the model's sliding window" in described.remarks[0]


def test_a_pruned_gemma_keeps_its_period_or_gets_a_shorter_context(tmp_path):
    kinds = ["sliding_attention", "full_attention"]
    regular = family_checkpoint(tmp_path / "a", "gemma2", num_hidden_layers=4)
    assert architecture(regular.config()).keys["gemma2.context_length"] == 256
    config = {**regular.config(), "layer_types": [kinds[at] for at in (0, 1, 1, 0)]}
    assert architecture(config).keys["gemma2.context_length"] == 8


def content(**changes):
    tokenizer = json.loads(make_byte_tokenizer().backend_tokenizer.to_str())
    for name, value in changes.items():
        if name in tokenizer:
            tokenizer[name] = value
        else:
            tokenizer["model"][name] = value
    return tokenizer


SPLIT = {
    "type": "Sequence",
    "pretokenizers": [
        {
            "type": "Split",
            "pattern": {"Regex": r"\d+|\D+"},
            "behavior": "Isolated",
            "invert": False,
        },
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ],
}
PIECES = {f"<0x{byte:02X}>": byte for byte in range(256)}
PIECES |= {token: 256 + i for i, token in enumerate(["<unk>", "a", "b", "c", "ab", "bc", "abc"])}
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}


def spm(merges, **changes):
    model = {"byte_fallback": True, "vocab": PIECES, "merges": merges, "unk_token": "<unk>"}
    parts = {**model, "normalizer": SPACES, "pre_tokenizer": None, "added_tokens": [], **changes}
    return content(**parts)


@pytest.mark.parametrize(
    ("tokenizer", "named"),
    [
        (content(pre_tokenizer=SPLIT), r"\\d+|\\D+"),
        (content(pre_tokenizer={"type": "Whitespace"}), '"type": "Whitespace"'),
        (content(ignore_merges=True), "ignore_merges=True"),
        (content(normalizer={"type": "Lowercase"}), "Lowercase"),
        (content(type="Unigram"), "'Unigram'"),
        (content(end_of_word_suffix="</w>"), "end_of_word_suffix='</w>'"),
        (
            spm([], pre_tokenizer={"type": "Digits", "individual_digits": True}),
            "'Digits'",
        ),
    ],
)
def test_tokenizers_that_llama_cpp_does_not_have(tokenizer, named):
    with pytest.raises(InputError) as caught:
        check_kind(tokenizer)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("merges", "named"),
    [
        ([["a", "b"], ["b", "c"], ["ab", "c"]], "no merge of 'a' and 'bc' to 'abc'"),
        ([["a", "b"], ["ab", "c"], ["b", "c"], ["a", "bc"]], "that form 'abc' are not consecutive"),
    ],
)
def test_merges_that_no_sentencepiece_model_has(merges, named):
    from storm_export.gguf.vocabulary import vocabulary

    with pytest.raises(InputError, match=named):
        vocabulary(spm(merges), 300, "<unk>")


def test_scores_are_the_ranks_of_merges():
    from storm_export.gguf.vocabulary import vocabulary

    merges = [["b", "c"], ["a", "b"], ["ab", "c"], ["a", "bc"]]
    converted = vocabulary(spm(merges), 300, "<unk>")
    scores = dict(zip(converted.tokens, converted.scores, strict=True))
    assert scores["bc"] > scores["ab"] > scores["abc"] > scores["c"]
    types = converted.types
    assert (types[:2], types[256], types[270]) == ([6, 6], 2, 5)


def test_a_tokenizer_is_checked_at_plan_time(tmp_path):
    model = make_checkpoint(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(content(pre_tokenizer=SPLIT)))
    with pytest.raises(InputError, match="pre-tokenizer"):
        Gguf().plan_spec(model.spec())


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word"])
def test_tokens_that_strip_spaces_or_match_words_are_refused(flag, tmp_path):
    model = make_checkpoint(tmp_path)
    file = tmp_path / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["added_tokens"][2][flag] = True
    file.write_text(json.dumps(tokenizer))
    with pytest.raises(InputError, match=rf"system.*{flag}"):
        Gguf().plan_spec(model.spec())


def test_a_fourth_stop_token_is_refused(export, tmp_path):
    model = make_checkpoint(tmp_path / "model", eos_token_id=[1, 2, 3, 4])
    with pytest.raises(InputError, match="has 4 stop tokens"):
        export(model, "f32")


def test_three_stop_tokens_are_written(export, tmp_path):
    import gguf

    model = make_checkpoint(tmp_path / "model", eos_token_id=[1, 2, 3])
    ((_, file),) = export(model, "f32").files().items()
    fields = gguf.GGUFReader(file).fields
    stops = [fields[f"tokenizer.ggml.{name}_token_id"].contents() for name in ("eos", "eot", "eom")]
    assert stops == [1, 2, 3]

"""What stages can do with the models of a family, from `model_type` alone, checked by every plan.

Determined with transformers 5.17 on a small random model of each family: whether its parameters
have the same names in the files, whether packed documents stay separate, whether logits are a
product with the head, whether it follows a mask over a tree of questions. A family that is not
named here is not known to fail; the stage checks the model itself before it begins.
"""

from __future__ import annotations

import enum
import importlib.util
from pathlib import Path

from storm_exp import InputError
from storm_models.families.architecture import FAMILIES, is_quantised, tensor_shapes
from storm_models.families.model_config import ModelConfig


class Use(enum.Enum):
    """What a stage does with a model."""

    TRAIN = "be trained"
    """Gradients through packed rows, and weights written under the names of the files."""
    PACK = "be read in packed rows"
    """Log-probabilities of pairs and a teacher's top-k logits, in the loop or stored."""
    SCAN = "be scanned for Spectrum"
    """Singular values of the matrices that training would choose from."""
    RESHAPE = "be changed in shape"
    """Pruning, measuring importances, adding and removing layers."""
    ASK = "be asked several questions at once"
    """Judging: a key-value cache, and a mask over a tree of questions."""
    COMPRESS = "be compressed to FP8"
    """Linear layers by llm-compressor, in files that transformers reads back."""


_TAKEN = (
    "apertus arcee bitnet cohere cohere2 cwm diffllama ernie4_5 exaone4 gemma glm glm4 granite "
    "granite_swa granitemoe_swa helium hunyuan_v1_dense hyperclovax jais2 ministral ministral3 "
    "nanochat nemotron olmo olmo2 olmo3 phi seed_oss smollm3 stablelm starcoder2 vaultgemma"
)
"""Families besides `FAMILIES` for which every use worked."""

_EXPERTS = "its files hold one tensor per expert, which transformers fuses in memory"
_RENAMED = "its tensors have other names in transformers than in its files"
_STATE = "its layers carry state from one document of a row to the next"
_MIXES = "its attention mixes the documents of a packed row"
_HEAD = "its head is more than a product with one matrix"
_NO_MATRICES = "its matrices are not called q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, …"

_STORED_BY_EXPERT = (
    "afmoe axk1 cohere2_moe deepseek_v2 deepseek_v3 dots1 ernie4_5_moe exaone_moe flex_olmo "
    "glm4_moe glm4_moe_lite granitemoe granitemoeshared hrm_text hunyuan_v1_moe hy_v3 laguna "
    "longcat_flash mellum mimo_v2_flash minimax_m2 mixtral olmoe phimoe qwen2_moe qwen3_moe "
    "solar_open"
)
_WITH_STATE = (
    "axk2 bamba deepseek_v32 deepseek_v4 falcon_h1 falcon_mamba glm_moe_dsa granitemoehybrid hy_v4 "
    "inkling_text jamba kimi_linear lfm2_moe llama4_text mamba mamba2 minimax nemotron_h "
    "olmo_hybrid qwen3_5_moe_text qwen3_5_text qwen3_next qwen4_exp_text recurrent_gemma rwkv "
    "xlstm zamba zamba2"
)
_MIXING = "bart bigbird_pegasus biogpt blenderbot bloom gpt_oss mbart mpt mvp opt trocr"
_OTHER_HEADS = "bert big_bird data2vec-text electra ernie rembert roberta roc_bert roformer"
_OTHER_MATRICES = (
    "bert-generation bloom codegen ctrl falcon falcon_mamba gpt-sw3 gpt2 gpt_bigcode "
    "gpt_neox_japanese gptj jetmoe mamba mamba2 mpt persimmon rwkv xlm"
)

_UNREADABLE = "gpt_oss granitemoe granitemoeshared minimax_m2 mixtral phimoe"
"""Families whose experts llm-compressor writes under names that transformers does not read."""

_PACKED = {
    **dict.fromkeys(_WITH_STATE.split(), _STATE),
    **dict.fromkeys(_MIXING.split(), _MIXES),
    **dict.fromkeys(_OTHER_HEADS.split(), _HEAD),
}
_STORED_OTHERWISE = {
    **dict.fromkeys(_STORED_BY_EXPERT.split(), _EXPERTS),
    **dict.fromkeys(("fuyu", "gpt_neox"), _RENAMED),
}
_REFUSED: dict[Use, dict[str, str]] = {
    Use.TRAIN: {**_STORED_OTHERWISE, **_PACKED},
    Use.PACK: _PACKED,
    Use.SCAN: {
        **_STORED_OTHERWISE,
        **dict.fromkeys(_OTHER_MATRICES.split(), _NO_MATRICES),
    },
    Use.COMPRESS: {
        **dict.fromkeys(_UNREADABLE.split(), "transformers could not read back its experts"),
        **dict.fromkeys(("gpt2", "gpt-sw3"), "its matrices are in no linear layers"),
    },
    Use.ASK: {
        **dict.fromkeys(_WITH_STATE.split(), _STATE),
        **dict.fromkeys(("bloom", "openai-gpt"), "it takes no mask over a tree of questions"),
    },
}


def check_known(config: ModelConfig, directory: Path) -> None:
    """Raise InputError for a family that transformers has no code for.

    Where transformers is not installed, nothing is refused.
    """
    family = config.get("model_type")
    supported = {*FAMILIES, *_TAKEN.split()}.union(*_REFUSED.values())
    if family in supported or importlib.util.find_spec("transformers") is None:
        return
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if family in CONFIG_MAPPING_NAMES:
        return
    coded = config.get("auto_map")
    problem = "and code beside a model is never run" if coded else "is it newer?"
    raise InputError(f"{directory}: transformers knows no model_type {family!r}, {problem}")


def check_family(config: ModelConfig | None, use: Use) -> None:
    """Raise InputError where the family of a config is known not to allow `use`; None passes."""
    family = (config or {}).get("model_type")
    if not isinstance(family, str):
        return
    if use is Use.RESHAPE:
        reason = "" if family in FAMILIES else f"only those of {', '.join(FAMILIES)} can"
    else:
        reason = _REFUSED[use].get(family, "")
    if reason:
        raise InputError(f"a model of the family {family!r} cannot {use.value}: {reason}")


def check_changeable(config: ModelConfig) -> None:
    """Raise InputError for a model whose shape cannot be changed: not all known, or quantised."""
    if is_quantised(config):
        raise InputError("the model is quantised: change its shape first and compress the result")
    check_family(config, Use.RESHAPE)
    tensor_shapes(config)

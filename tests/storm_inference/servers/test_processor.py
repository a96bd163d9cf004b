"""Which quantised models vLLM's build for processors takes, by compressed-tensors' own schemes."""

from __future__ import annotations

import pytest

from storm_exp import InputError
from storm_inference.servers.processor import check_processor_serves


def quantised(scheme: str) -> dict[str, object]:
    quantization = pytest.importorskip("compressed_tensors.quantization")
    group = quantization.preset_name_to_scheme(scheme, ["Linear"])
    whole = quantization.QuantizationConfig(config_groups={"group_0": group})
    return {"model_type": "llama", "quantization_config": whole.model_dump(mode="json")}


def test_static_eight_bits_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"static.*inference=transformers.*fp8_dynamic"):
        check_processor_serves(quantised("FP8"))


@pytest.mark.parametrize("scheme", ["FP8_DYNAMIC", "W8A8", "W4A16"])
def test_other_schemes_are_left_to_vllm(scheme: str) -> None:
    check_processor_serves(quantised(scheme))


def test_models_that_are_not_quantised_pass() -> None:
    check_processor_serves({"model_type": "llama"})
    check_processor_serves({"quantization_config": {"quant_method": "fp8"}})

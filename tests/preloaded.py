"""What the server of forked command lines has imported: libraries, and the plugins' components."""

import importlib

from storm_exp._contract.plugins import load_plugins

for library in (
    "hydra",
    "lightning",
    "llmcompressor",
    "lm_eval.evaluator",
    "peft",
    "pyarrow.parquet",
    "scipy.stats",
    "torch",
    "transformers.generation.utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.qwen2.modeling_qwen2",
):
    importlib.import_module(library)

load_plugins()
load_plugins.cache_clear()

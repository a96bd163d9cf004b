"""The fine-tuners that recipes name: `sft`, `pretraining`, `dpo`, `distillation`."""

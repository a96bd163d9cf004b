"""What a recipe names to train: `sft`, `pretraining`, `dpo`, `distillation`."""

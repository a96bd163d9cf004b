"""SmolLM2-135M-Instruct out of a Python wheel: a real pretrained model without a hub."""

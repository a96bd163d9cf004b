"""Running lm-evaluation-harness: the component `lm_eval`, the model's adapter, the results."""

"""lm-evaluation-harness at work: the component `lm_eval`, the model it asks, its results."""

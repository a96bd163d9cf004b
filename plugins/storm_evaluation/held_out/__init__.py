"""The evaluator `held_out`: loss and choices on rows that were not trained on."""

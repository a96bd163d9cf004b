"""The evaluator on rows that training did not see."""

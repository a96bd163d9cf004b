"""What the report shows of evaluations."""

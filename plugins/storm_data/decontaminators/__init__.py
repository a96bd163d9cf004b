"""Components that stand between data and what selects or trains on it."""

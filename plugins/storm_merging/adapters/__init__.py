"""Low-rank adapters in peft's layout."""

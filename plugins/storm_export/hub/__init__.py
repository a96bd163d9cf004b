"""A model as a repository of the hub: weights, tokenizer, and a card that says how it was made."""

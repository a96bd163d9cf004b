"""A model as a repository for the hub: weights, tokenizer and a model card of how it was made."""

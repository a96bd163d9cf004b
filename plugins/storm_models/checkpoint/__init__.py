"""A checkpoint in Hugging Face layout: its files, headers, weights, tokenizer."""

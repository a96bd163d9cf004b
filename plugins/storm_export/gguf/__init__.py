"""Checkpoints as GGUF files, for llama.cpp and what is built on it."""

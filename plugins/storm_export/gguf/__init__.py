"""Export of checkpoints to GGUF, for llama.cpp and programs built on it."""

"""Models for Ollama: a Modelfile beside GGUF files, with the chat template in Go's form."""

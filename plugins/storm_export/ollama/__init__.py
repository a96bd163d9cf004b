"""Export to Ollama: Modelfiles for GGUF files, with the chat template translated to Go."""

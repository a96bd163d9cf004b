"""Engines of inference with one interface: transformers in this process, servers over HTTP."""

"""What plugins and the engine agree on: components, artifacts, hooks, errors."""

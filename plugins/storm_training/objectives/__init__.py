"""Training objectives: next-token cross-entropy, preferences, distillation."""

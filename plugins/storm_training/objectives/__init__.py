"""What training minimises: cross-entropy, preferences, distillation."""

"""What Hydra finds of storm-exp: its launcher, and the folders with presets."""

"""Hydra's plugins for storm-exp: launcher, sweeper, and sources of configurations."""

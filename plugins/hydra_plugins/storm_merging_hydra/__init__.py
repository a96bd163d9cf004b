"""Hydra's plugin for storm_merging: the stages that a mergekit YAML asks for."""

"""From a command line to a recipe: presets, settings, the graph of stages."""

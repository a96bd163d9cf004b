"""From words to a recipe: the command line, presets, settings, the graph of stages."""

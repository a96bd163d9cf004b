"""The base model of the miniature world, and the text of its pretraining."""

"""The base model of the miniature world, and the text that it grows up on."""

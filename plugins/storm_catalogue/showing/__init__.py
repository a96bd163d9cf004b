"""The verb `show`: one thing, described in full."""

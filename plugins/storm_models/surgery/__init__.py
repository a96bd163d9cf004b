"""Changing the shape of a model: layers copied or removed, tensors cut."""

"""Small random models that stand in for large ones when a recipe is rehearsed."""

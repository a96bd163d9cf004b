"""Small random models that replace large ones when a recipe is rehearsed."""

"""From a recipe to a plan: keys, what is there already, what is to be made and what it takes."""

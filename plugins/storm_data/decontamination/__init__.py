"""Finding questions of evaluations in the rows of a data set, by n-grams of normalised text."""

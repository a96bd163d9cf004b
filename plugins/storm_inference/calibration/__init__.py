"""Calibration rows: which rows of a data set a model reads, for what is measured on the way."""

"""Calibration for pruning: settings, and rows in batches."""

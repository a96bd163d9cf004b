"""Calibration rows: their settings, and their batches."""

"""Comparing evaluations: documents matched, differences, intervals, tests."""

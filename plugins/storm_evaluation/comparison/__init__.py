"""Comparing evaluations: matching of documents, differences, intervals, tests."""

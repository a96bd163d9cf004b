"""Choosing rows: ranking, splitting, the funnel."""

"""Races: which cells of a sweep go on, as questions and seeds are added."""

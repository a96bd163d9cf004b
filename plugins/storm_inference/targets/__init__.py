"""Models that a user names on the command line."""

"""The trackers that a run can be shown in, one a file."""

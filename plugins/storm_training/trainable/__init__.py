"""Which parameters train: Spectrum and its scan, low-rank updates, other choices."""

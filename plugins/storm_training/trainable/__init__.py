"""Which parameters train: Spectrum and its scan, low rank, other choices."""

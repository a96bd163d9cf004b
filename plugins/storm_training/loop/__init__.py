"""The training loop: Lightning, devices, precision, from files to files."""

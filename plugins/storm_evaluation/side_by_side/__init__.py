"""The verb `compare`: what differs between two runs, cells or artifacts."""

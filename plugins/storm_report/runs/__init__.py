"""The verb `runs`: the runs of a folder, listed, shown and removed."""

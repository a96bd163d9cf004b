"""Components that yield a data set: files, the hub, finished folders."""

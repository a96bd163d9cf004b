"""Components that bring in a data set: from files, the hub, finished folders."""

"""Components that choose rows."""

"""Python environments of their own, for engines that this one cannot hold."""

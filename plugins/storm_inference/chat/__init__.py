"""The verb `chat`."""

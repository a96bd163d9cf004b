"""The verb `chat`: talking to a model."""

"""What every test has in common."""

from hypothesis import settings

# A busy machine is no fault of the code, and the same commit tries the same examples.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

"""The verb `reproduce`: runs again what was recorded, in a fresh store, and compares."""

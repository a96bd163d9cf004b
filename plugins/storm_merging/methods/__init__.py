"""The components that merge with arithmetic of our own, or change depth."""

"""The models to merge: compatibility, angles, and the merged checkpoint."""

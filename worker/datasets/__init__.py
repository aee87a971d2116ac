"""The sequences that are trained on: generated tasks and uploaded tables."""

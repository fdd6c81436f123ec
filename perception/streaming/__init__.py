"""The pipeline: one step per tick, its timing and its results."""

"""Heads: heatmap, boxes and trajectories."""

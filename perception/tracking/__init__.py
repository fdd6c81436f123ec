"""Tracks with identity, and forecasts."""

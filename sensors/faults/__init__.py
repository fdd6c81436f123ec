"""Faults of sensors as a layer over any log."""

"""Sensor faults as a layer over any log."""

"""Rigid transforms, boxes and lenses."""

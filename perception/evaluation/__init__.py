"""Evaluation by the official protocols: detection, tracking, prediction, and intervals of their figures."""

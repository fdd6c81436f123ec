"""Driving logs: the Tricast MCAP format, readers for recorded datasets, and one stream for all of them."""

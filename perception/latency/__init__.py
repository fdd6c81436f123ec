"""Measuring how long ticks take: the load, the clocks, what was counted, and what the machine could do at best."""

"""A motorway: two carriageways, free or jammed traffic, and what stands beside them."""

"""From the encoders' features to one grid, and from that to object queries."""

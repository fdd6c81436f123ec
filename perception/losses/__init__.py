"""What the network's outputs are trained towards: targets, matching and losses."""

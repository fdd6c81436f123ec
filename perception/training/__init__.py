"""Training: shards of recorded ticks, augmentation, the loop, checkpoints and curves."""

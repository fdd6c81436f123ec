"""The commands of `tricast`, one file each."""

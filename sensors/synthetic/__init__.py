"""A seeded synthetic world and its sensors."""

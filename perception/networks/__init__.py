"""The ways in which the network fuses its sensors, one class each behind `Network`."""

"""Sensor data: types, geometry, logs, synchronisation, faults and the synthetic world."""

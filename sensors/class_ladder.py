"""How the ten detection classes and those of other datasets map onto each other: one table for readers and writers.

What is not named is none of the ten and is left out. Riders belong to their bikes: where a dataset gives a rider a box
beside the bike's, the rider's is left out; where it has one box for both, that is the bike's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CLASSES_FROM: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # As the official detection task has it.
        "nuscenes": {
            "vehicle.car": "car",
            "vehicle.truck": "truck",
            "vehicle.bus.bendy": "bus",
            "vehicle.bus.rigid": "bus",
            "vehicle.trailer": "trailer",
            "vehicle.construction": "construction_vehicle",
            "human.pedestrian.adult": "pedestrian",
            "human.pedestrian.child": "pedestrian",
            "human.pedestrian.construction_worker": "pedestrian",
            "human.pedestrian.police_officer": "pedestrian",
            "vehicle.motorcycle": "motorcycle",
            "vehicle.bicycle": "bicycle",
            "movable_object.trafficcone": "traffic_cone",
            "movable_object.barrier": "barrier",
        },
        # Vans are cars and pickups trucks, as in nuScenes.
        "aimotive": {
            "CAR": "car",
            "VAN": "car",
            "Size_vehicle_m": "car",
            "PICKUP": "truck",
            "TRUCK": "truck",
            "Size_vehicle_xl": "truck",
            "BUS": "bus",
            "TRAILER": "trailer",
            "MOTORCYCLE": "motorcycle",
            "BICYCLE": "bicycle",
            "BIKE": "bicycle",
            "PEDESTRIAN": "pedestrian",
        },
        "view_of_delft": {
            "Car": "car",
            "truck": "truck",
            "Pedestrian": "pedestrian",
            "Cyclist": "bicycle",
            "bicycle": "bicycle",
            "moped_scooter": "motorcycle",
            "motor": "motorcycle",
        },
        # Trams and `Misc` are none of the ten.
        "kitti": {
            "Car": "car",
            "Van": "car",
            "Truck": "truck",
            "Pedestrian": "pedestrian",
            "Person_sitting": "pedestrian",
            "Person (sitting)": "pedestrian",
            "Cyclist": "bicycle",
        },
        # Barrels, bollards, signs, animals and whatever rolls under a person are none of the ten.
        "argoverse2": {
            "REGULAR_VEHICLE": "car",
            "LARGE_VEHICLE": "truck",
            "BOX_TRUCK": "truck",
            "TRUCK": "truck",
            "TRUCK_CAB": "truck",
            "BUS": "bus",
            "SCHOOL_BUS": "bus",
            "ARTICULATED_BUS": "bus",
            "VEHICULAR_TRAILER": "trailer",
            "PEDESTRIAN": "pedestrian",
            "OFFICIAL_SIGNALER": "pedestrian",
            "MOTORCYCLE": "motorcycle",
            "BICYCLE": "bicycle",
            "CONSTRUCTION_CONE": "traffic_cone",
        },
    }
)
"""Detection class of each class of a dataset."""

CLASSES_TO: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # It has no barriers; of construction vehicles it says nothing nearer than that they are large.
        "argoverse2": {
            "car": "REGULAR_VEHICLE",
            "truck": "TRUCK",
            "bus": "BUS",
            "trailer": "VEHICULAR_TRAILER",
            "construction_vehicle": "LARGE_VEHICLE",
            "pedestrian": "PEDESTRIAN",
            "motorcycle": "MOTORCYCLE",
            "bicycle": "BICYCLE",
            "traffic_cone": "CONSTRUCTION_CONE",
        },
        "kitti": {"car": "Car", "truck": "Truck", "pedestrian": "Pedestrian", "bicycle": "Cyclist"},
    }
)
"""Class of a dataset for each detection class that it has, as its own tools read it."""

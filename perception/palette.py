"""One colour per class, in every picture and marker: red, green and blue in [0, 1]."""

CLASS_COLORS: dict[str, tuple[float, float, float]] = {
    "car": (0.20, 0.65, 1.00),
    "truck": (0.10, 0.85, 0.75),
    "bus": (0.60, 0.85, 0.25),
    "trailer": (0.45, 0.55, 0.95),
    "construction_vehicle": (0.95, 0.75, 0.15),
    "pedestrian": (1.00, 0.40, 0.45),
    "motorcycle": (0.95, 0.45, 0.90),
    "bicycle": (0.75, 0.40, 1.00),
    "traffic_cone": (1.00, 0.60, 0.20),
    "barrier": (0.75, 0.75, 0.75),
}

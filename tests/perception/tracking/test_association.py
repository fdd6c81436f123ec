import numpy as np

from tricast.perception.tracking.association import NO_PAIR, pair_costs


def test_costs_are_those_of_every_pair_by_itself() -> None:
    rng = np.random.default_rng(0)
    tracks, seen = 40, 30
    given = {
        "predicted_m": rng.uniform(-20, 20, (tracks, 2)),
        "seen_m": rng.uniform(-20, 20, (seen, 2)),
        "variances_m2": rng.uniform(0.1, 3, tracks),
        "seen_variances_m2": rng.uniform(0.1, 1, seen),
        "log_sizes": rng.normal(0, 1, (tracks, 3)),
        "seen_log_sizes": rng.normal(0, 1, (seen, 3)),
        "classes": rng.integers(3, size=tracks),
        "seen_classes": rng.integers(3, size=seen),
        "max_distances_m": rng.uniform(1, 8, tracks),
    }
    costs = pair_costs(**given, gate_sigmas=4.0, size_sigma=0.5, class_cost=2.0)
    possible = 0
    for n in range(tracks):
        for m in range(seen):
            square = np.sum((given["predicted_m"][n] - given["seen_m"][m]) ** 2)
            variance = given["variances_m2"][n] + given["seen_variances_m2"][m]
            if square > 16 * variance or square > given["max_distances_m"][n] ** 2:
                assert costs[n, m] == NO_PAIR
                continue
            possible += 1
            sizes = np.sum((given["log_sizes"][n] - given["seen_log_sizes"][m]) ** 2) / 0.25
            other = 0.0 if given["classes"][n] == given["seen_classes"][m] else 2.0
            np.testing.assert_allclose(costs[n, m], square / variance + 2 * np.log(variance) + min(sizes, 9) + other)
    assert 20 < possible < 400

import numpy as np
import pytest

from tricast.perception.nearness import near_along


@pytest.mark.parametrize(("own", "others"), [(60, 90), (1, 5), (0, 4), (4, 0)])
def test_pairs_are_those_of_asking_every_pair(own: int, others: int) -> None:
    rng = np.random.default_rng(own)
    # On whole numbers, so that some are exactly as far as the reach.
    places, there = rng.integers(0, 50, own).astype(float), rng.integers(0, 50, others).astype(float)
    reaches = rng.integers(0, 5, own).astype(float)
    first, second = near_along(places, reaches, there)
    near = np.abs(places[:, None] - there) <= reaches[:, None]
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == list(
        zip(*(i.tolist() for i in np.nonzero(near)), strict=True)
    )

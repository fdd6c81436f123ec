"""Two streams that attend to each other: absent cameras change nothing, and where each token comes from."""

import pytest
import torch

from tricast.perception.fusion.co_attention import CoAttention, with_values
from tricast.perception.fusion.query_decoder import ImagePlaces, Tokens

WIDTH, SIDE = 8, 2


@pytest.fixture
def exchange() -> CoAttention:
    torch.manual_seed(0)
    module = CoAttention(WIDTH, 2, 2, 4)
    for back in (module.to_coarse, module.to_trunk):
        torch.nn.init.normal_(back.weight)
    return module.eval()


def tokens(cameras: int, valid: int) -> Tokens:
    """A grid of four cells, and three tokens in each of some cameras, of which the first so many are there."""
    generator = torch.Generator().manual_seed(1)
    axis = torch.tensor([-10.0, 10.0])
    places = torch.cartesian_prod(axis, axis)
    rays = torch.nn.functional.normalize(torch.randn(4, 3, 3, generator=generator), dim=2)
    values = torch.randn(SIDE**2 + 12, WIDTH, generator=generator)[: SIDE**2 + 3 * cameras]
    position = torch.randn(SIDE**2 + 12, WIDTH, generator=generator)[: len(values)]
    mask = torch.arange(cameras).repeat_interleave(3) < valid
    images = ImagePlaces(
        valid=mask[None], ray_directions=rays[None, :cameras], ray_origins_m=torch.zeros(1, cameras, 3)
    )
    return Tokens(keys=(values + position)[None], values=values[None], bev_places_m=places, images=images)


def test_a_camera_that_is_absent_is_one_that_was_never_there(exchange: CoAttention) -> None:
    for present in (0, 1, 2):
        beside, alone = tokens(4, present), tokens(present, present)
        values, coarse, trunk = exchange(beside.values, beside)
        expected = exchange(alone.values, alone)
        count = SIDE**2 + 3 * present
        torch.testing.assert_close(values[:, :count], expected[0])
        torch.testing.assert_close(coarse, expected[1])
        torch.testing.assert_close(trunk, expected[2])


def test_each_stream_learns_of_the_other(exchange: CoAttention) -> None:
    given = tokens(2, 2)
    values, coarse, trunk = exchange(given.values, given)
    assert coarse.shape == (1, 8, SIDE, SIDE) and trunk.shape == (1, 4, 2 * SIDE, 2 * SIDE)
    for changed, other in ((SIDE**2, slice(0, SIDE**2)), (0, slice(SIDE**2, None))):
        moved = given.values.clone()
        moved[0, changed, 0] += 1
        after = exchange(moved, with_values(given, moved))[0]
        assert (after[0, other] - values[0, other]).abs().max() > 1e-3


def test_at_first_the_maps_stay_as_they_are() -> None:
    given = tokens(2, 2)
    _, coarse, trunk = CoAttention(WIDTH, 2, 1, 4)(given.values, given)
    assert not coarse.any() and not trunk.any()


def test_every_token_is_made_of_tokens_that_are_there(exchange: CoAttention) -> None:
    given = tokens(4, 2)
    origins = exchange.origins(given.values, given)
    torch.testing.assert_close(origins.sum(dim=2), torch.ones(1, SIDE**2 + 12))
    assert (origins[0, : SIDE**2, SIDE**2 + 6 :] == 0).all()
    assert (origins[0, : SIDE**2, SIDE**2 : SIDE**2 + 6] > 0).all()
    # Of what a token was, a quarter at least is left after two exchanges that give away half each.
    assert (origins[0].diagonal() >= 0.25).all()


def test_new_content_keeps_its_places() -> None:
    given = tokens(1, 1)
    moved = with_values(given, 2 * given.values)
    torch.testing.assert_close(moved.keys - moved.values, given.keys - given.values)

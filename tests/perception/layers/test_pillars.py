"""Points onto a grid."""

import torch

from tricast.perception.layers.pillars import cells_of, lengths


def test_a_point_falls_into_the_cell_that_holds_it_and_padding_into_the_dump() -> None:
    """A grid of 4 x 4 cells over -2 m to 2 m; two samples."""
    points = torch.tensor([[-1.9, -1.9, 0.0], [0.25, -1.5, 0.0], [1.75, 1.5, 9.0], [2.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    cell, offsets = cells_of(points, torch.tensor([0, 0, 1, 1, 2]), 2, 4, 2.0)
    assert cell.tolist() == [0, 2, 31, 32, 32]
    torch.testing.assert_close(offsets[:3], torch.tensor([[-0.4, -0.4], [-0.25, 0.0], [0.25, 0.0]]))


def test_lengths_are_those_of_the_norm_and_zero_has_no_gradient() -> None:
    x, y = torch.tensor([3.0, 0.0, -5.0], requires_grad=True), torch.tensor([4.0, 0.0, 12.0], requires_grad=True)
    found = lengths(x, y)
    torch.testing.assert_close(found, torch.tensor([5.0, 0.0, 13.0]), atol=1e-5, rtol=0)
    found.sum().backward()
    assert x.grad is not None and y.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([0.6, 0.0, -5 / 13]))
    torch.testing.assert_close(y.grad, torch.tensor([0.8, 0.0, 12 / 13]))

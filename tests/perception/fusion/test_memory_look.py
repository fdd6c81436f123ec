"""Looking back: a query finds the remembered object that it may be, and how far that has come."""

import torch

from tricast.perception.fusion.memory_look import MemoryLook, MemoryTokenizer
from tricast.perception.query_memory import Recalled

WIDTH = 4


def recalled(valid: bool = True) -> Recalled:
    """One remembered tick, half a second old: an object at (10, 0) that drove along y at 4 m/s, another far away."""
    pair = torch.tensor([[[[10.0, 0.0], [-40.0, 0.0]]]])
    return Recalled(
        features=torch.tensor([[[[1.0, -1.0, 1.0, -1.0], [2.0, 2.0, -2.0, -2.0]]]]),
        places_m=pair,
        velocities_mps=torch.tensor([[[[0.0, 4.0], [0.0, 0.0]]]]),
        headings=torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]]),
        scores=torch.tensor([[[0.9, 0.8]]]),
        ages_s=torch.tensor([[0.5]]),
        valid=torch.full((1, 1, 2), valid),
    )


def look() -> MemoryLook:
    """One that tells what it found: all content alike, hardly anything is new."""
    made = MemoryLook(WIDTH, 1)
    with torch.no_grad():
        made.query.weight.zero_()
        made.query.bias.zero_()
        made.is_new.fill_(-50.0)
    return made


def told(made: MemoryLook, centers_m: torch.Tensor, memory: Recalled) -> torch.Tensor:
    """What is projected (Q, D + geometry), by a projection that takes one number at a time."""
    rows = []
    for column in range(made.project.in_features):
        with torch.no_grad():
            made.project.weight.zero_()
            made.project.weight[0, column] = 1.0
            queries = torch.zeros(1, centers_m.shape[1], WIDTH)
            rows.append(made(queries, centers_m, MemoryTokenizer(WIDTH)(memory))[0, :, 0])
    return torch.stack(rows, dim=1)


def test_a_query_sees_how_far_its_object_has_come() -> None:
    centers_m = torch.tensor([[[10.2, 2.5, 0.7]]])
    seen = told(look(), centers_m, recalled())[0, WIDTH:]
    expected = torch.tensor([-0.2, -2.5, -0.2, -0.5, 0.0, 0.4, 0.0, 1.0, 0.9, 1.0])
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


def test_a_query_far_from_all_that_is_remembered_is_new() -> None:
    made = look()
    with torch.no_grad():
        made.is_new.zero_()
    far = told(made, torch.tensor([[[25.0, 20.0, 0.0]]]), recalled())
    torch.testing.assert_close(far, torch.zeros_like(far), atol=1e-6, rtol=0)


def test_nothing_remembered_corrects_nothing_and_neither_does_a_new_network() -> None:
    made, memory = MemoryLook(WIDTH, 1), MemoryTokenizer(WIDTH)
    queries, centers_m = torch.randn(1, 3, WIDTH), torch.randn(1, 3, 3) + 10
    assert not made(queries, centers_m, memory(recalled())).any()
    torch.nn.init.ones_(made.project.weight)
    assert made(queries, centers_m, memory(recalled())).any()
    assert not made(queries, centers_m, memory(recalled(valid=False))).any()

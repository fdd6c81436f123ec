import torch

from tricast.perception.fusion.concatenation import Concatenation


def test_channels_lie_side_by_side_and_absent_sensors_are_zeros() -> None:
    fusion = Concatenation(2)
    taken = []
    fusion.join.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    bevs = tuple(torch.full((2, 2, 1, 1), value) for value in (1.0, 2.0, 3.0))
    observed = tuple(torch.ones(2, 1, 1, dtype=torch.bool) for _ in range(3))
    fusion(bevs, observed, torch.tensor([[True, True, True], [True, False, True]]))
    whole, lacking = taken[0][:, :, 0, 0].tolist()
    assert whole == [1, 1, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1]
    assert lacking == [1, 1, 0, 0, 3, 3, 1, 0, 1, 1, 0, 1]


def test_shares_are_by_what_each_sensor_puts_in() -> None:
    bevs = tuple(torch.tensor([[[[a]], [[b]]]]) for a, b in ((1.0, -2.0), (4.0, 5.0), (0.0, 3.0)))
    shares = Concatenation(2).shares(bevs, torch.tensor([[True, False, True]]))
    torch.testing.assert_close(shares[0, :, 0, 0], torch.tensor([0.5, 0.0, 0.5]))

import torch
from torch import nn

from tricast.perception.layers.convolution import ConvNorm, Pointwise, on_present


def test_a_pointwise_convolution_is_a_convolution() -> None:
    torch.manual_seed(0)
    ours, plain = Pointwise(6, 4), nn.Conv2d(6, 4, 1)
    plain.load_state_dict(ours.state_dict())
    for layout in (torch.channels_last, torch.contiguous_format):
        features = torch.randn(2, 6, 5, 3).to(memory_format=layout)
        torch.testing.assert_close(ours(features), plain(features))
        assert ours(features).is_contiguous(memory_format=torch.channels_last)


def test_a_pointwise_convolution_is_exported_as_one() -> None:
    exported = torch.export.export(Pointwise(3, 2), (torch.zeros(1, 3, 4, 4),))
    assert any("conv2d" in str(node.target) for node in exported.graph.nodes)


def test_a_convolution_divides_the_size_by_its_stride() -> None:
    features = torch.zeros(2, 3, 16, 8)
    for kernel, stride in ((1, 1), (3, 1), (3, 2), (4, 2), (2, 2), (4, 4)):
        assert ConvNorm(3, 4, kernel, stride)(features).shape == (2, 4, 16 // stride, 8 // stride), (kernel, stride)


def test_absent_members_of_a_batch_give_zeros_and_the_others_what_they_give_alone() -> None:
    torch.manual_seed(0)
    module, maps = ConvNorm(3, 4, 2, 2).eval(), torch.randn(3, 3, 4, 6)
    for slots in ([], [1], [0, 2], [0, 1, 2]):
        features = maps.clone().requires_grad_()
        made = on_present(module, features, torch.tensor(slots, dtype=torch.int64), (4, 2, 3))
        assert made.shape == (3, 4, 2, 3)
        for number in range(3):
            alone = module(maps[[number]])[0] if number in slots else torch.zeros(4, 2, 3)
            torch.testing.assert_close(made[number], alone)
        if slots:
            made.sum().backward()
            assert features.grad is not None
            assert [bool(g.any()) for g in features.grad] == [number in slots for number in range(3)]


def test_gradients_of_maps_stay_as_the_maps_lie_in_memory() -> None:
    """Turned on the way, a map of 128 x 128 cells would be copied across its rows, once a step."""
    rows, told = torch.randn(3, 4, 4, 6, requires_grad=True), []
    maps = rows.permute(0, 3, 1, 2)
    maps.register_hook(lambda gradient: told.append(gradient.permute(0, 2, 3, 1).is_contiguous()))
    on_present(ConvNorm(6, 4, 2, 2), maps, torch.tensor([0, 2]), (4, 2, 2)).sum().backward()
    assert told == [True]

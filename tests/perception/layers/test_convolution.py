import torch
from torch import nn

from tricast.perception.layers.convolution import ConvNorm, Pointwise


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

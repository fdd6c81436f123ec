"""The weighted mean of the sensors' grids."""

import torch

from tricast.perception.fusion.weighted_mean import WeightedMean
from tricast.perception.layers.convolution import fold_norms


def test_an_exported_mean_is_the_mean() -> None:
    """There what each sensor saw is summed apart from the mean."""
    torch.manual_seed(0)
    fusion = WeightedMean(4).eval()
    fold_norms(fusion)
    bevs = tuple(torch.randn(2, 4, 3, 5) for _ in range(3))
    observed = tuple(torch.rand(2, 3, 5) > 0.5 for _ in range(3))
    given = (bevs, observed, torch.tensor([[True, True, False], [True, True, True]]))
    with torch.no_grad():
        exported = torch.export.export(fusion, given)
        assert sum("conv2d" in str(node.target) for node in exported.graph.nodes) == 2
        torch.testing.assert_close(exported.module()(*given), fusion(*given))

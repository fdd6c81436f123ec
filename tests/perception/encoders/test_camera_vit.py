import torch

from tricast.perception.encoders.camera_vit import normalized


def test_a_picture_with_less_light_looks_nearly_the_same() -> None:
    """An eighth of the light: the darkest are rounded and lie near the floor, the rest keep their ratios."""
    generator = torch.Generator().manual_seed(0)
    day = torch.randint(64, 256, (1, 3, 16, 16), generator=generator, dtype=torch.uint8)
    night = day // 8
    apart = (normalized(day) - normalized(night)).abs()
    assert apart.mean() < 0.15 and apart.max() < 0.5


def test_each_picture_is_brought_to_mean_0_and_spread_1_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (3, 3, 16, 24), generator=generator, dtype=torch.uint8)
    together = normalized(pictures)
    torch.testing.assert_close(together.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(together.std(dim=(1, 2, 3)), torch.ones(3))
    torch.testing.assert_close(together[1:2], normalized(pictures[1:2]))


def test_a_picture_of_one_colour_is_nothing_and_finite() -> None:
    assert not normalized(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).any()

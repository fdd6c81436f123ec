"""Where queries look into pictures: two cameras at the origin, one ahead and one to the left, four features each."""

import torch

from tricast.perception.fusion.picture_look import PictureLook, Pictures, nearest_features, pictures_of


def _pictures(mask: tuple[bool, bool] = (True, True)) -> Pictures:
    ahead = torch.tensor([[[1.0, 0.02, 0.0], [1.0, -0.02, 0.0]], [[1.0, 0.02, 0.04], [1.0, -0.02, 0.04]]])
    left = ahead[..., [1, 0, 2]] * torch.tensor([-1.0, 1.0, 1.0])
    rays = torch.nn.functional.normalize(torch.stack([ahead, left]), dim=3)[None]
    features = torch.arange(8.0)[:, None].expand(8, 3)
    return pictures_of(features, rays, torch.zeros(1, 2, 3), torch.tensor([mask]))


CENTERS_M = torch.tensor([[[20.0, 0.5, 0.0], [30.0, -0.7, 1.0], [0.4, 20.0, 0.9], [-20.0, 0.0, 0.0]]])


def test_a_centre_finds_the_feature_that_sees_it() -> None:
    rows, seen = nearest_features(CENTERS_M, _pictures())
    assert rows[0, :3].tolist() == [0, 3, 7]
    assert seen.tolist() == [[True, True, True, False]]


def test_an_absent_camera_sees_nothing() -> None:
    assert nearest_features(CENTERS_M, _pictures((True, False)))[1].tolist() == [[True, True, False, False]]
    assert not nearest_features(CENTERS_M, _pictures((False, False)))[1].any()


def test_only_queries_in_a_picture_are_corrected() -> None:
    look = PictureLook(3, 5)
    assert not look(CENTERS_M, _pictures()).any()  # nothing at the start
    torch.nn.init.ones_(look.project.weight)
    assert look(CENTERS_M, _pictures())[0, :, 0].tolist() == [0.0, 9.0, 21.0, 0.0]


def test_no_camera_at_all_corrects_nothing() -> None:
    none = pictures_of(
        torch.zeros(0, 3), torch.zeros(1, 0, 2, 2, 3), torch.zeros(1, 0, 3), torch.zeros(1, 0, dtype=torch.bool)
    )
    corrections = PictureLook(3, 5)(CENTERS_M, none)
    assert corrections.shape == (1, 4, 5) and not corrections.any()


def test_a_centre_between_two_rows_of_a_tall_picture_is_seen() -> None:
    rays = torch.tensor([[[1.0, 0.02, 0.0], [1.0, -0.02, 0.0]], [[1.0, 0.02, 0.2], [1.0, -0.02, 0.2]]])
    rays = torch.nn.functional.normalize(rays, dim=2)[None, None]
    pictures = pictures_of(torch.arange(4.0)[:, None], rays, torch.zeros(1, 1, 3), torch.tensor([[True]]))
    centers_m = torch.tensor([[[10.0, 0.1, 0.8], [10.0, 0.1, 1.2], [10.0, 0.1, 5.0]]])
    rows, seen = nearest_features(centers_m, pictures)
    assert seen.tolist() == [[True, True, False]]
    assert rows[0, :2].tolist() == [0, 2]

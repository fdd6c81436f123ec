"""A city: streets of other widths, road users of their true sizes, bicycles in rows where nobody walks."""

from pathlib import Path

import numpy as np
import pytest

from tricast.configs.errors import ConfigError
from tricast.sensors.synthetic.city import bicycle_places, drawn_body, drawn_streets, drawn_turn, parked_lateral_m
from tricast.sensors.synthetic.materials import WALL
from tricast.sensors.synthetic.roads import Streets, lane_path
from tricast.sensors.synthetic.scene import Scene, make_scene
from tricast.sensors.synthetic.sizes import CITY_SIZES_M, UNRIDDEN_HEIGHT_M
from tricast.sensors.synthetic.town_ground import TownGround
from tricast.sensors.synthetic.world_config import CityConfig, TownConfig, load_world

SEEDS = range(150_000, 150_004)
TOWN = TownConfig()
CITY = TownConfig(city=CityConfig())


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(load_world("city"), seed, 0.5) for seed in SEEDS]


def ground_of(scene: Scene) -> TownGround:
    assert isinstance(scene.ground, TownGround)
    return scene.ground


def ground(front_m: float) -> TownGround:
    streets = Streets(lane_m=3.0, parking_m=2.0, parked_m=1.05, front_m=front_m)
    return TownGround(junction_m=np.array([30.0, 0.0]), waves=np.zeros((0, 4)), curb_m=0.1, streets=streets)


def test_streets_lie_within_the_limits_and_differ(scenes: list[Scene]) -> None:
    city = CITY.city
    assert city is not None
    streets = [ground_of(scene).streets for scene in scenes]
    for name in ("lane_m", "parking_m", "front_m"):
        low, high = getattr(city, name)
        values = [getattr(street, name) for street in streets]
        assert all(low <= value <= high for value in values) and len(set(values)) == len(values)


def test_a_town_has_the_streets_of_every_town_and_draws_nothing_for_them() -> None:
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    assert drawn_streets(None, rng) == Streets()
    assert rng.random() == same.random()
    assert (Streets().half_m, Streets().stop_m, Streets().depth) == (pytest.approx(5.9), pytest.approx(10.9), 1.0)


def test_lanes_of_narrow_streets_meet_lanes() -> None:
    narrow = Streets(lane_m=2.7, parking_m=2.0, parked_m=1.05, front_m=3.0)
    for turn, end_x_m in (("right", -1.35), ("left", 1.35)):
        path = lane_path(0, turn, np.zeros(2), 50.0, narrow)
        np.testing.assert_allclose(path.points_m[0, 1], -1.35, atol=1e-6)
        np.testing.assert_allclose(path.points_m[-1, 0], end_x_m, atol=0.3)
        assert path.stop_s_m == pytest.approx(50.0 - 9.7)


def test_fronts_of_houses_stand_as_far_back_as_drawn(scenes: list[Scene]) -> None:
    for scene in scenes:
        place = ground_of(scene)
        walls = scene.static_triangles_m[scene.static_materials == WALL].reshape(-1, 3)
        nearest_m = place.off_road_m(walls[:, :2]).min()
        corner_m = 5.0  # how near the last house of a row comes to the street that crosses
        assert (
            min(place.streets.front_m, corner_m) - 1e-6 <= nearest_m <= place.streets.front_m + 3 * place.streets.depth
        )


def test_road_users_have_their_true_sizes(scenes: list[Scene]) -> None:
    for actor in (a for scene in scenes for a in scene.actors):
        kinds = ("car", "van") if actor.class_name == "car" else (actor.class_name,)
        limits = [np.array(CITY_SIZES_M[kind]) for kind in kinds]
        if actor.class_name in UNRIDDEN_HEIGHT_M:
            unridden = limits[0].copy()
            unridden[2] = UNRIDDEN_HEIGHT_M[actor.class_name]
            limits.append(unridden)
        assert any(((bound[:, 0] <= actor.size_m) & (actor.size_m <= bound[:, 1])).all() for bound in limits)


def test_who_rides_makes_a_bicycle_higher() -> None:
    rng = np.random.default_rng(0)
    ridden = [drawn_body("bicycle", CITY, rng, ridden=True)[0][2] for _ in range(20)]
    left = [drawn_body("bicycle", CITY, rng)[0][2] for _ in range(20)]
    assert min(ridden) > max(left)


def test_what_is_long_goes_straight_on_and_what_is_wide_parks_over_the_curb() -> None:
    bus, car = np.array([12.0, 2.5, 3.0]), np.array([4.5, 1.8, 1.5])
    assert (drawn_turn(bus, CITY, "left"), drawn_turn(car, CITY, "left")) == ("straight", "left")
    assert drawn_turn(bus, TOWN, "left") == "left"
    streets = Streets(lane_m=3.0, parking_m=2.0, parked_m=1.05, front_m=3.0)
    assert parked_lateral_m(car, CITY, streets) == pytest.approx(4.05)
    assert parked_lateral_m(bus, CITY, streets) == pytest.approx(4.35)
    assert parked_lateral_m(bus, TOWN, Streets()) == pytest.approx(4.75)


@pytest.mark.parametrize("front_m", [2.2, 4.4, 4.5, 9.0])
def test_bicycles_stand_apart_before_the_houses_and_nobody_walks_there(front_m: float) -> None:
    place = ground(front_m)
    found = bicycle_places(CITY, place, np.random.default_rng(1))
    assert len(found) > 5 and not bicycle_places(TOWN, place, np.random.default_rng(1))
    places_m = np.array([p for p, _ in found])
    apart_m = np.linalg.norm(places_m[:, None] - places_m, axis=2) + 1e9 * np.eye(len(places_m))
    abreast = front_m >= 4.5
    assert apart_m.min() >= (0.6 if abreast else 1.9)
    off_m = np.abs(places_m[:, 1]) - place.streets.half_m
    half_m = 0.95 if abreast else 0.35
    assert (off_m + half_m <= front_m).all()
    last_walker_m = 4.2 * place.streets.depth
    assert (off_m - half_m > last_walker_m - 0.8).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [("lane_m: [3.6, 2.7]", "first limit of a range"), ("front_m: [-1, 4]", "front_m must lie within 2 and 30")],
)
def test_streets_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"town: {{city: {{{text}}}}}\n")
    with pytest.raises(ConfigError, match=message):
        load_world(str(tmp_path / "mine.yaml"))


def test_version_1_has_no_city(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("town: {city: {}}\n")
    with pytest.raises(ConfigError, match=r"no town\.city"):
        load_world(str(tmp_path / "mine.yaml"))

"""A seeded scene: who is there, how everybody moves, and how it looks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.bodies import SHAPES, body_triangles
from tricast.sensors.synthetic.body_details import detailed
from tricast.sensors.synthetic.ground import Ground
from tricast.sensors.synthetic.materials import body_materials
from tricast.sensors.synthetic.motorway.place import lay_out_motorway
from tricast.sensors.synthetic.population import Resident
from tricast.sensors.synthetic.town import lay_out_town
from tricast.sensors.synthetic.traffic import Motion
from tricast.sensors.synthetic.world_config import TownConfig, WorldConfig

EGO_COLUMN = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Light:
    """Light of a scene.

    Args:
        name: `day`, `dusk` or `night`.
        sun: (3,) unit direction to the sun, or the moon.
        direct: Share of light from there.
        ambient: Share from the sky.
        headlights: Strength of the vehicle's own lights.
        sky: (3,) colour.
        clouds: Share of the sky that is covered, 0 in version 1 of the world.

    """

    name: str
    sun: NDArray[np.float64]
    direct: float
    ambient: float
    headlights: float
    sky: NDArray[np.float64]
    clouds: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Actor:
    """A road user with its body about the centre of its box.

    Args:
        instance_id: Identity.
        class_name: A detection name.
        size_m: (3,) length, width, height.
        triangles_m: (T, 3, 3) in its own axes.
        colors: (T, 3).
        materials: (T,) as in `materials`.
        agent: Column of the motion, or -1 for one that stands.
        place_m: (2,) where it stands; unused for agents.
        yaw_rad: Its direction; unused for agents.
        rcs_dbsm: Mean radar cross-section.

    """

    instance_id: str
    class_name: str
    size_m: NDArray[np.float64]
    triangles_m: NDArray[np.float64]
    colors: NDArray[np.float64]
    materials: NDArray[np.int8]
    agent: int
    place_m: NDArray[np.float64]
    yaw_rad: float
    rcs_dbsm: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Everything of a scene; agent 0 of the motion is the vehicle itself.

    Args:
        actors: A road users.
        motion: Of all agents.
        ground: Its height.
        light: Its light.
        static_triangles_m: (T, 3, 3) ground and scenery in world axes.
        static_colors: (T, 3); NaN where the ground's own colour applies.
        static_materials: (T,) as in `materials`.

    """

    actors: tuple[Actor, ...]
    motion: Motion
    ground: Ground
    light: Light
    static_triangles_m: NDArray[np.float64]
    static_colors: NDArray[np.float64]
    static_materials: NDArray[np.int8]

    def states(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Centres (A, 3), yaws (A,) and velocities (A, 2) over ground of all actors at a time."""
        points, yaws, speeds = self.motion.at(time_s)
        agents = np.array([a.agent for a in self.actors], dtype=int)
        stands = agents < 0
        place = np.where(stands[:, None], np.array([a.place_m for a in self.actors]).reshape(-1, 2), points[agents])
        yaw = np.where(stands, [a.yaw_rad for a in self.actors], yaws[agents])
        speed = np.where(stands, 0.0, speeds[agents])
        height = self.ground.height_m(place) + np.array([a.size_m[2] for a in self.actors]) / 2
        velocity = speed[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        return np.column_stack([place, height]), yaw, velocity

    def world_from_ego(self, time_s: float) -> SE3:
        """Pose of the vehicle on its four wheels."""
        points, yaws, _ = self.motion.at(time_s)
        yaw, (x, y) = float(yaws[0]), points[0].tolist()
        ahead, beside = np.array([np.cos(yaw), np.sin(yaw)]), 0.8 * np.array([-np.sin(yaw), np.cos(yaw)])
        rear = points[0] + np.stack([beside, -beside])
        heights = self.ground.height_m(np.concatenate([rear + 2.8 * ahead, rear]))
        front_left, front_right, rear_left, rear_right = heights.tolist()
        pitch = -math.atan2((front_left + front_right - rear_left - rear_right) / 2, 2.8)
        roll = math.atan2((front_left + rear_left - front_right - rear_right) / 2, 1.6)
        return SE3.from_euler(roll, pitch, yaw, (x, y, (rear_left + rear_right) / 2))


def make_scene(config: WorldConfig, seed: int, seconds: float) -> Scene:
    """The scene of a seed; the same seed gives the same scene."""
    rng = np.random.default_rng([seed, 1])
    # What version 2 adds has a generator of its own: of a seed, both versions have the same houses and road users.
    own = np.random.default_rng([seed, 4])
    place = config.place
    if isinstance(place, TownConfig):
        layout = lay_out_town(place, config.detail, seconds, rng, own)
    else:
        assert config.detail is not None
        layout = lay_out_motorway(place, config.detail, seconds, rng)
    actors = [
        _actor(config, resident, column, number)
        for number, (resident, column) in enumerate(zip(layout.residents, layout.columns, strict=True))
        if resident.class_name is not None and column != EGO_COLUMN
    ]
    light = _light(config, rng)
    static, colors, materials = layout.scenery
    return Scene(
        actors=tuple(actors),
        motion=layout.motion,
        ground=layout.ground,
        light=light if config.detail is None else _clouded(light, own),
        static_triangles_m=static,
        static_colors=colors,
        static_materials=materials,
    )


def _actor(config: WorldConfig, resident: Resident, agent: int, number: int) -> Actor:
    assert resident.class_name is not None
    parts = resident.parts or SHAPES[resident.class_name][resident.shape]
    if config.detail is not None:
        parts = detailed(parts, resident.class_name)
    triangles, colors = body_triangles(parts, resident.size_m, resident.color, resident.second_color)
    return Actor(
        instance_id=f"{resident.class_name}-{number}",
        class_name=resident.class_name,
        size_m=resident.size_m,
        triangles_m=triangles,
        colors=colors,
        materials=body_materials(parts, resident.class_name),
        agent=agent,
        place_m=resident.place_m,
        yaw_rad=resident.yaw_rad,
        rcs_dbsm=resident.rcs_dbsm,
    )


def _clouded(light: Light, rng: np.random.Generator) -> Light:
    """The light under a sky more or less covered: less from the sun, more from everywhere."""
    clouds = float(rng.uniform(0, 1))
    return replace(
        light, clouds=clouds, direct=light.direct * (1 - 0.75 * clouds), ambient=light.ambient * (1 + 0.4 * clouds)
    )


def _light(config: WorldConfig, rng: np.random.Generator) -> Light:
    weights = np.array([config.light.day, config.light.dusk, config.light.night])
    name = str(rng.choice(["day", "dusk", "night"], p=weights / weights.sum()))
    height = {"day": rng.uniform(0.5, 1.3), "dusk": rng.uniform(0.08, 0.3), "night": 0.9}[name]
    angle = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(height) * np.cos(angle), np.cos(height) * np.sin(angle), np.sin(height)])
    direct, ambient, headlights = {"day": (0.65, 0.4, 0.0), "dusk": (0.3, 0.22, 0.25), "night": (0.03, 0.05, 0.8)}[name]
    sky = {"day": (0.58, 0.72, 0.92), "dusk": (0.62, 0.42, 0.36), "night": (0.02, 0.02, 0.05)}[name]
    return Light(
        name=name,
        sun=sun,
        direct=direct * float(rng.uniform(0.7, 1.1)),
        ambient=ambient * float(rng.uniform(0.8, 1.2)),
        headlights=headlights,
        sky=np.array(sky),
    )

"""Truth of a synthetic scene: boxes, identities, what each sensor saw of them, and their next 6 s."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import FUTURE_STEP_S, NUM_FUTURE_STEPS, Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.synthetic.casting import SceneCaster, rays_from
from tricast.sensors.synthetic.scene import Scene

PROBES = 40


@dataclass(kw_only=True, eq=False)
class Visibility:
    """What each channel's latest measurement holds of every actor; counts (A,) by channel."""

    num_actors: int
    lidar: dict[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])
    radar: dict[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])
    pixels: dict[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])

    def note(self, kind: str, channel: str, owners: NDArray[np.integer]) -> None:
        """Count the owners of a measurement; those below 0 are nobody."""
        counts = np.bincount(owners[owners >= 0].astype(np.int64), minlength=self.num_actors)
        getattr(self, kind)[channel] = counts

    def total(self, kind: str) -> NDArray[np.int32]:
        """Counts (A,) over the channels of a kind."""
        return sum(getattr(self, kind).values(), np.zeros(self.num_actors, np.int64)).astype(np.int32)


def annotate(
    scene: Scene,
    caster: SceneCaster,
    seen: Visibility,
    lidar_position_m: NDArray[np.float64],
    time_s: float,
    now_ns: int,
    range_m: float,
    prefix: str,
) -> Annotations:
    """Truth at a time within a range; identities start with the prefix."""
    centers, yaws, velocities = scene.states(time_s)
    world_from_ego = scene.world_from_ego(time_s)
    near = np.linalg.norm(centers[:, :2] - world_from_ego.translation[:2], axis=1) < range_m
    sizes = np.array([a.size_m for a in scene.actors]).reshape(-1, 3)
    world = Boxes(centers_m=centers[near], sizes_m=sizes[near], yaws_rad=yaws[near], velocities_mps=velocities[near])
    times = time_s + FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)
    futures = np.stack([scene.states(float(t))[0][near] for t in times], axis=1)
    ego_from_world = world_from_ego.inverse
    chosen = np.flatnonzero(near)
    return Annotations(
        timestamp_ns=now_ns,
        received_ns=now_ns,
        boxes=world.transformed(ego_from_world),
        class_names=tuple(scene.actors[i].class_name for i in chosen),
        instance_ids=tuple(f"{prefix}/{scene.actors[i].instance_id}" for i in chosen),
        num_lidar_points=seen.total("lidar")[near],
        num_radar_points=seen.total("radar")[near],
        num_visible_pixels=seen.total("pixels")[near],
        occlusion=occlusion(caster, lidar_position_m, time_s, chosen),
        futures_m=ego_from_world.apply(futures.reshape(-1, 3)).reshape(*futures.shape)[..., :2],
    )


def occlusion(
    caster: SceneCaster, origin_m: NDArray[np.float64], time_s: float, actors: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Share (N,) of the rays from a sensor to each actor's own surface that something else stops."""
    triangles, owners = caster.triangles_m(time_s)
    points: list[NDArray[np.float64]] = []
    labels: list[NDArray[np.int64]] = []
    for actor in actors:
        own = triangles[owners == actor]
        edges = np.cross(own[:, 1] - own[:, 0], own[:, 2] - own[:, 0])
        weight: NDArray[np.float64] = np.cumsum(np.linalg.norm(edges, axis=1))
        # Evenly over the surface: the same places every time, so that the figure does not flicker.
        levels: NDArray[np.float64] = weight[-1] * (np.arange(PROBES) + 0.5) / PROBES
        picks: NDArray[np.int64] = np.searchsorted(weight, levels)
        points.append(own[np.minimum(picks, len(own) - 1)].mean(axis=1))
        labels.append(np.full(PROBES, actor))
    if not points:
        return np.zeros(0, np.float32)
    targets, label = np.concatenate(points), np.concatenate(labels)
    rays = targets - origin_m
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    hits = caster.at(time_s).cast(rays_from(origin_m, rays))
    return (hits.owners != label).reshape(-1, PROBES).mean(axis=1).astype(np.float32)

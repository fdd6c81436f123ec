"""Traffic by the intelligent driver model: agents follow paths, keep gaps, obey signals, yield and cross.

Source: Treiber, Hennecke and Helbing, Physical Review E 62, 2000 (car following).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.roads import STEP_M, Path
from tricast.sensors.synthetic.town_ground import TownGround

SIM_STEP_S = 0.1
LOOK_AHEAD_M = 28.0
LATERAL_MPS2 = 2.2
COMFORT_MPS2 = (1.6, 2.5)
HARDEST_MPS2 = 7.0
GREEN_S, CLEARING_S = 7.0, 2.0
WALKERS_PATIENCE_S = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Agent:
    """One that moves: its path, where it starts on it, and how it likes to go.

    Args:
        path: Its way.
        start_s_m: Arc length at the start.
        size_m: (3,) length, width, height.
        clear_speed_mps: Speed on a free, straight way.
        on_foot: People wait at the curb and pause, and look at no signal.

    """

    path: Path
    start_s_m: float
    size_m: NDArray[np.float64]
    clear_speed_mps: float
    on_foot: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """Simulated motion of A agents from time 0 on, every `SIM_STEP_S`.

    Args:
        points_m: (S, A, 2).
        yaws_rad: (S, A) unwrapped.
        speeds_mps: (S, A).

    """

    points_m: NDArray[np.float64]
    yaws_rad: NDArray[np.float64]
    speeds_mps: NDArray[np.float64]

    def at(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Points (A, 2), yaws (A,) and speeds (A,) at a time, linear between steps."""
        place = min(max(time_s / SIM_STEP_S, 0.0), len(self.points_m) - 1.001)
        low, part = int(place), place - int(place)
        values = (self.points_m, self.yaws_rad, self.speeds_mps)
        points, yaws, speeds = (v[low] * (1 - part) + v[low + 1] * part for v in values)
        return points, yaws, speeds


def simulate(
    agents: tuple[Agent, ...],
    standing: NDArray[np.float64],
    ground: TownGround,
    seconds: float,
    rng: np.random.Generator,
) -> Motion:
    """Let everybody go; `standing` (N, 3) are circles x, y, radius of things in the way."""
    count, steps = len(agents), int(np.ceil(seconds / SIM_STEP_S)) + 2
    s_m = np.array([a.start_s_m for a in agents])
    speed = np.array([a.clear_speed_mps for a in agents]) * 0.8
    phase_s = rng.uniform(0, 2 * (GREEN_S + CLEARING_S))
    pauses = rng.uniform(0, max(seconds, 1.0), (count, 2)) + np.array([0.0, 1e9]) * (rng.random((count, 1)) > 0.3)
    pauses[:, 1] = rng.uniform(1, 4, count)
    waited_s = np.zeros(count)
    points, yaws, speeds = np.zeros((steps, count, 2)), np.zeros((steps, count)), np.zeros((steps, count))
    limits = [_bend_limits_mps(a.path) for a in agents]
    curbs = [_before_curb(a.path, ground) for a in agents]
    for step in range(steps):
        time_s = step * SIM_STEP_S
        for i, agent in enumerate(agents):
            points[step, i], yaws[step, i] = agent.path.at(s_m[i])
        speeds[step] = speed
        places = (s_m / STEP_M).astype(int).tolist()
        circles, owners = _circles(agents, points[step], yaws[step], standing)
        for i, agent in enumerate(agents):
            if agent.on_foot:
                paused = pauses[i, 0] < time_s < pauses[i, 0] + pauses[i, 1]
                waiting = (
                    curbs[i][places[i]]
                    and waited_s[i] < WALKERS_PATIENCE_S
                    and _must_wait(agents, points[step, i], float(yaws[step, i]), points[step], speed, ground)
                )
                waited_s[i] = waited_s[i] + SIM_STEP_S if waiting else max(waited_s[i] - SIM_STEP_S, 0.0)
                wanted = 0.0 if paused or waiting else agent.clear_speed_mps
                speed[i] += min(max(wanted - speed[i], -0.25), 0.15)
            else:
                gap, lead = _gap(i, agent, s_m[i], circles, owners, points[step], yaws[step], speed)
                signal = _signal_gap(i, agents, s_m, points[step], speed, time_s + phase_s, ground.junction_m)
                if signal < gap:
                    gap, lead = signal, 0.0
                wanted = min(agent.clear_speed_mps, float(limits[i][places[i]]))
                speed[i] = max(0.0, speed[i] + SIM_STEP_S * _acceleration(wanted, float(speed[i]), gap, lead))
        s_m = np.minimum(s_m + SIM_STEP_S * speed, [a.path.length_m - 1 for a in agents])
        speed = np.where(s_m >= [a.path.length_m - 1.01 for a in agents], 0.0, speed)
    return Motion(points_m=points, yaws_rad=yaws, speeds_mps=speeds)


def _circles(
    agents: tuple[Agent, ...], points: NDArray[np.float64], yaws: NDArray[np.float64], standing: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Everybody as circles x, y, radius, three to a body, with owners; -1 owns what stands."""
    half = np.array([[max(a.size_m[0] - a.size_m[1], 0.0) / 2, a.size_m[1] / 2] for a in agents])
    heading = np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    places = points[:, None] + np.array([-1.0, 0.0, 1.0])[None, :, None] * (half[:, :1] * heading)[:, None]
    moving = np.concatenate([places, np.broadcast_to(half[:, None, 1:], (len(agents), 3, 1))], axis=2).reshape(-1, 3)
    owners = np.concatenate([np.repeat(np.arange(len(agents)), 3), np.full(len(standing), -1)])
    return np.concatenate([moving, standing.reshape(-1, 3)]), owners


def _gap(
    index: int,
    agent: Agent,
    s_m: float,
    circles: NDArray[np.float64],
    owners: NDArray[np.int64],
    points: NDArray[np.float64],
    yaws: NDArray[np.float64],
    speed: NDArray[np.float64],
) -> tuple[float, float]:
    """Free way ahead along the path, and the speed along it of what ends it."""
    other = owners != index
    x_m, y_m = points[index]
    near = other & (np.abs(circles[:, 0] - x_m) < LOOK_AHEAD_M + 8) & (np.abs(circles[:, 1] - y_m) < LOOK_AHEAD_M + 8)
    if not near.any():
        return np.inf, 0.0
    ahead = np.arange(0.0, LOOK_AHEAD_M, 0.75)
    way, _ = agent.path.at(s_m + agent.size_m[0] / 2 + ahead)
    x_m, y_m, radii = circles[near].T
    blocked = (way[:, :1] - x_m) ** 2 + (way[:, 1:] - y_m) ** 2 < (radii + agent.size_m[1] / 2 + 0.2) ** 2
    if not blocked.any():
        return np.inf, 0.0
    first = int(np.argmax(blocked.any(axis=1)))
    owner = int(owners[near][np.argmax(blocked[first])])
    lead = 0.0 if owner < 0 else float(speed[owner] * np.cos(yaws[owner] - yaws[index]))
    return float(ahead[first]), max(lead, 0.0)


def _signal_gap(
    index: int,
    agents: tuple[Agent, ...],
    s_m: NDArray[np.float64],
    points: NDArray[np.float64],
    speed: NDArray[np.float64],
    clock_s: float,
    junction_m: NDArray[np.float64],
) -> float:
    """Way to the stop line where the signal is red, or where a left turn has to yield."""
    path = agents[index].path
    gap = path.stop_s_m - s_m[index] - agents[index].size_m[0] / 2
    if not -1.0 < gap < 40:
        return np.inf
    in_cycle = clock_s % (2 * (GREEN_S + CLEARING_S)) - (path.arm % 2) * (GREEN_S + CLEARING_S)
    if not 0 <= in_cycle < GREEN_S:
        return max(gap, 0.1) if gap > -0.5 else np.inf
    if path.turn != "left" or gap > 4:
        return np.inf
    for j, other in enumerate(agents):
        opposite = other.path.arm >= 0 and (other.path.arm - path.arm) % 4 == 2 and other.path.turn != "left"
        to_line = other.path.stop_s_m - s_m[j]
        if opposite and speed[j] > 1 and -14 < to_line < 22 and np.linalg.norm(points[j] - junction_m) < 40:
            return max(gap, 0.1)
    return np.inf


def _bend_limits_mps(path: Path) -> NDArray[np.float64]:
    """Speeds (N,), one per step of the path, at which its bend over the next 8 m is comfortable."""
    yaws = np.append(path.yaws_rad, np.full(round(8 / STEP_M), path.yaws_rad[-1]))
    count, near, far = len(path.yaws_rad), round(3 / STEP_M), round(8 / STEP_M)
    first, second, third = yaws[:count], yaws[near : count + near], yaws[far : count + far]
    curvature = np.maximum(np.abs(second - first) / 3, np.abs(third - second) / 5)
    return np.sqrt(LATERAL_MPS2 / np.maximum(curvature, 1e-3))


def _before_curb(path: Path, ground: TownGround) -> NDArray[np.bool_]:
    """Steps (N,) of the path from which the next metre leads onto the road."""
    off = ground.off_road_m(path.points_m)
    soon = np.append(off, np.full(round(1.25 / STEP_M), off[-1]))[-len(off) :]
    return (off >= 0) & (soon < 0)


def _acceleration(wanted_mps: float, speed: float, gap: float, lead: float) -> float:
    easy, hard = COMFORT_MPS2
    safe = 2.0 + max(0.0, speed * 1.2 + speed * (speed - lead) / (2 * math.sqrt(easy * hard)))
    closeness = 0.0 if math.isinf(gap) else (safe / max(gap, 0.1)) ** 2
    return min(max(easy * (1 - (speed / wanted_mps) ** 4 - closeness), -HARDEST_MPS2), easy)


def _must_wait(
    agents: tuple[Agent, ...],
    place: NDArray[np.float64],
    yaw: float,
    points: NDArray[np.float64],
    speed: NDArray[np.float64],
    ground: TownGround,
) -> bool:
    """Whether somebody at the curb has to let a vehicle pass."""
    ahead = np.array([math.cos(yaw), math.sin(yaw)])
    offsets = points - (place + 1.2 * ahead)
    near = (np.abs(offsets @ ahead) < 2 * ground.streets.half_m) & (np.square(offsets).sum(axis=1) < 18**2)
    coming = (speed > 1.5) & near
    return any(not agents[j].on_foot for j in np.flatnonzero(coming))

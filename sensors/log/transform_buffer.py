"""The tree of coordinate frames as `/tf` and `/tf_static` tell it.

Static transforms never expire, moving ones are interpolated.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any

from tricast.configs.errors import InputError
from tricast.sensors.errors import CalibrationError
from tricast.sensors.geometry.se3 import SE3, interpolate
from tricast.sensors.log.schema import stamp_ns

KEPT_NS = 10_000_000_000
MAX_DEPTH = 32


def frame_named(frame_id: str, channel: str) -> str:
    """Frame that a sensor's header names: without a leading slash, and the channel's where it names none."""
    return frame_id.removeprefix("/") or channel


@dataclass
class _Edge:
    """How a frame hangs on its parent: always the same, or by time."""

    parent: str
    static: SE3 | None = None
    stamps_ns: list[int] = field(default_factory=list[int])
    poses: list[SE3] = field(default_factory=list[SE3])

    def parent_from_child(self, timestamp_ns: int | None) -> SE3:
        """Pose at a time: the nearest known outside the known span, the newest for None."""
        if self.static is not None:
            return self.static
        if timestamp_ns is None or timestamp_ns >= self.stamps_ns[-1]:
            return self.poses[-1]
        after = bisect_right(self.stamps_ns, timestamp_ns)
        if after == 0:
            return self.poses[0]
        first_ns, second_ns = self.stamps_ns[after - 1], self.stamps_ns[after]
        return interpolate(self.poses[after - 1], self.poses[after], (timestamp_ns - first_ns) / (second_ns - first_ns))


class TransformBuffer:
    """Transforms between any two connected frames."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}
        self.version = 0
        """Grows whenever a static transform is new or changes."""
        self.broken: dict[str, CalibrationError] = {}
        """By frame, what is wrong with the transform last told of it; none that a sound one has followed."""

    def add_message(self, message: Any, *, static: bool, keep_broken: bool = False) -> None:
        """Take a `tf2_msgs/TFMessage`.

        Args:
            message: Transforms.
            static: Whether they hold for ever.
            keep_broken: Only note in `broken` what is no rigid transform.

        Raises:
            CalibrationError: One is no rigid transform; the others are taken all the same.

        """
        error: CalibrationError | None = None
        for entry in message.transforms:
            t, q = entry.transform.translation, entry.transform.rotation
            child = _clean(entry.child_frame_id)
            try:
                pose = SE3(quaternion_wxyz=(q.w, q.x, q.y, q.z), translation_m=(t.x, t.y, t.z))
            except InputError as wrong:
                error = CalibrationError(where=child, got=wrong.got, expected=wrong.expected, remedy=wrong.remedy)
                self.broken[child] = error
                continue
            self.broken.pop(child, None)
            self.add(_clean(entry.header.frame_id), child, pose, stamp_ns(entry.header.stamp), static)
        if error is not None and not keep_broken:
            raise error

    def broken_below(self, *frames: str) -> CalibrationError | None:
        """What is wrong with the transform that is missing above one of some frames; None where none is known."""
        tops = (list(self._to_root(frame, None))[-1] for frame in frames)
        return next((self.broken[top] for top in tops if top in self.broken), None)

    def add(self, parent: str, child: str, parent_from_child: SE3, timestamp_ns: int, static: bool) -> None:
        """Take one transform; a frame has one parent, the newest said."""
        edge = self._edges.get(child)
        if static:
            if edge is None or edge.static != parent_from_child or edge.parent != parent:
                self._edges[child] = _Edge(parent=parent, static=parent_from_child)
                self.version += 1
            return
        if edge is None or edge.parent != parent or edge.static is not None:
            edge = self._edges[child] = _Edge(parent=parent)
        place = bisect_right(edge.stamps_ns, timestamp_ns)
        if place and edge.stamps_ns[place - 1] == timestamp_ns:
            return
        edge.stamps_ns.insert(place, timestamp_ns)
        edge.poses.insert(place, parent_from_child)
        while edge.stamps_ns[-1] - edge.stamps_ns[0] > KEPT_NS:
            edge.stamps_ns.pop(0)
            edge.poses.pop(0)

    def forget_moving(self) -> None:
        """Drop all but static transforms: time jumped."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.static is not None}

    def lookup(self, destination: str, source: str, timestamp_ns: int | None = None) -> SE3 | None:
        """`destination_from_source` at a time (None: the newest); None where the frames are not connected."""
        up_from_source = self._to_root(source, timestamp_ns)
        up_from_destination = self._to_root(destination, timestamp_ns)
        shared = next((frame for frame in up_from_source if frame in up_from_destination), None)
        if shared is None:
            return None
        if shared == destination:  # as stated, to the last bit
            return up_from_source[shared]
        return up_from_destination[shared].inverse @ up_from_source[shared]

    def path(self, destination: str, source: str) -> tuple[str, ...]:
        """Frames whose transform to their parent leads up from `source` to its ancestor `destination`; else none."""
        ancestors = list(self._to_root(source, None))
        return tuple(ancestors[: ancestors.index(destination)]) if destination in ancestors else ()

    def known_times(self, destination: str, source: str, after_ns: int) -> list[int]:
        """Stamps after `after_ns` of what moves on that path, up to where all of it is known; sorted, in ns.

        A frame whose newest stamp is 0 tells no time and is waited for by none.
        """
        edges = [self._edges[frame] for frame in self.path(destination, source)]
        moving = [edge.stamps_ns for edge in edges if edge.static is None and edge.stamps_ns[-1] > 0]
        if not moving:
            return []
        first_ns = max(after_ns + 1, *(stamps_ns[0] for stamps_ns in moving))
        last_ns = min(stamps_ns[-1] for stamps_ns in moving)
        found = (s[bisect_left(s, first_ns) : bisect_right(s, last_ns)] for s in moving)
        return sorted({time_ns for stamps_ns in found for time_ns in stamps_ns})

    def _to_root(self, frame: str, timestamp_ns: int | None) -> dict[str, SE3]:
        """By ancestor (the frame itself first): ancestor_from_frame."""
        found = {frame: SE3()}
        pose = SE3()
        while frame in self._edges and len(found) < MAX_DEPTH:
            edge = self._edges[frame]
            step = edge.parent_from_child(timestamp_ns)
            pose = step if len(found) == 1 else step @ pose
            frame = edge.parent
            if frame in found:
                break
            found[frame] = pose
        return found


def _clean(frame: str) -> str:
    """Frame names of ROS 1 begin with a slash."""
    return frame.removeprefix("/")

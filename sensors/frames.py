"""What sensors deliver: camera frames, LiDAR sweeps, radar scans and ego poses.

Time is integer nanoseconds on the log's clock. `timestamp_ns` is when the data was measured,
`received_ns` when it arrived; a message without its own arrival time arrives when it was measured.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tricast.sensors.arrays import checked_array
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.se3 import SE3

Modality: TypeAlias = Literal["camera", "lidar", "radar"]
ImageEncoding: TypeAlias = Literal["jpeg", "png", "rgb8"]

UNKNOWN_RING = np.uint16(65535)
DEEP_MODES = ("I", "I;16", "I;16B", "F")
"""Of Pillow, with more than 8 bits a colour, which a conversion to RGB would cut off at 255."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraFrame:
    """One image of one camera, kept as it was encoded until somebody asks for pixels.

    Args:
        channel: The camera's channel.
        timestamp_ns: Time of exposure.
        received_ns: Time of arrival.
        encoding: `jpeg` or `png` bytes of a file, or `rgb8`, the raw bytes of a (height, width, 3) array.
        data: The encoded bytes.
        size_px: (width, height) for `rgb8`; unused otherwise.

    """

    channel: str
    timestamp_ns: int
    received_ns: int
    encoding: ImageEncoding
    data: bytes
    size_px: tuple[int, int] | None = None

    @staticmethod
    def from_pixels(channel: str, timestamp_ns: int, pixels: NDArray[np.uint8]) -> CameraFrame:
        """Wrap an RGB image (height, width, 3) of dtype uint8, without loss.

        Raises:
            SensorDataError: Shape or dtype is not as stated.

        """
        checked_array(pixels, name=f"{channel} pixels", shape=(None, None, 3), dtype=np.uint8)
        return CameraFrame(
            channel=channel,
            timestamp_ns=timestamp_ns,
            received_ns=timestamp_ns,
            encoding="rgb8",
            data=np.ascontiguousarray(pixels).tobytes(),
            size_px=(pixels.shape[1], pixels.shape[0]),
        )

    def pixels(self, *, at_least_px: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Decode to RGB (height, width, 3), uint8, not to be written to.

        Args:
            at_least_px: A (width, height) that is enough: a JPEG may then come at a half, a quarter or an eighth of
                its size, still covering it, which decodes faster.

        Raises:
            SensorDataError: The bytes are not an image of the stated encoding.

        """
        if self.encoding == "rgb8":
            return self._raw_pixels()
        with self._decoded(at_least_px) as image:
            return np.asarray(image)

    def _raw_pixels(self) -> NDArray[np.uint8]:
        width, height = self.size_px or (0, 0)
        if len(self.data) != width * height * 3 or not self.data:
            raise self._broken(f"{len(self.data)} bytes for a {width}x{height} rgb8 image")
        return np.frombuffer(self.data, np.uint8).reshape(height, width, 3)

    @contextmanager
    def _decoded(self, at_least_px: tuple[int, int] | None) -> Generator[Image.Image]:
        """The image of a file's bytes, in RGB."""
        try:
            with Image.open(io.BytesIO(self.data), formats=[self.encoding.upper()]) as image:
                if at_least_px is not None:
                    image.draft("RGB", at_least_px)
                if image.mode in DEEP_MODES:
                    raise ValueError(f"more than 8 bits a colour, {image.mode}; it has to be brought to 8")
                image.decodermaxblock = len(self.data)  # at once, not piece by piece
                image.load()
                yield image if image.mode == "RGB" else image.convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise self._broken(f"{len(self.data)} bytes that do not decode ({error})") from error

    def header_size_px(self) -> tuple[int, int] | None:
        """Width and height by the header of the bytes, which are not decoded; None where they begin as no image."""
        if self.encoding == "rgb8":
            width, height = self.size_px or (0, 0)
            return (width, height) if self.data and len(self.data) == width * height * 3 else None
        try:
            with Image.open(io.BytesIO(self.data), formats=[self.encoding.upper()]) as image:
                return image.size
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None

    def _broken(self, got: str) -> SensorDataError:
        return SensorDataError(
            where=f"{self.channel} at {self.timestamp_ns} ns",
            got=got,
            expected=f"a whole {self.encoding} image",
            remedy="leave this frame out or record it again",
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class LidarSweep:
    """One revolution of one LiDAR, in the sensor's own frame, as measured (not motion compensated).

    NaN points, and points in the sensor itself, are legal (drivers mark missing returns so); `without_invalid` removes
    them with all their fields.

    Args:
        channel: The LiDAR's channel.
        timestamp_ns: Reference time of the sweep.
        received_ns: Time of arrival, not before the last point was measured.
        points_m: (N, 3) float32.
        intensity: (N,) float32 on the sensor's own scale.
        time_offsets_ns: (N,) int32, each point's time minus `timestamp_ns`; zeros if unknown.
        rings: (N,) uint16 beam index, `UNKNOWN_RING` if unknown.

    """

    channel: str
    timestamp_ns: int
    received_ns: int
    points_m: NDArray[np.float32]
    intensity: NDArray[np.float32]
    time_offsets_ns: NDArray[np.int32]
    rings: NDArray[np.uint16]

    def __post_init__(self) -> None:
        _check_points(
            self,
            {"intensity": np.float32, "time_offsets_ns": np.int32, "rings": np.uint16},
        )

    @staticmethod
    def from_points(
        channel: str,
        timestamp_ns: int,
        points_m: NDArray[Any],
        *,
        intensity: NDArray[Any] | None = None,
        time_offsets_ns: NDArray[Any] | None = None,
        rings: NDArray[Any] | None = None,
        received_ns: int | None = None,
    ) -> LidarSweep:
        """Build from points (N, 3) in any float type; what is not given is filled as unknown."""
        points = np.asarray(points_m, dtype=np.float32)
        count = len(points)
        return LidarSweep(
            channel=channel,
            timestamp_ns=timestamp_ns,
            received_ns=timestamp_ns if received_ns is None else received_ns,
            points_m=points,
            intensity=_filled(intensity, count, np.float32, 0),
            time_offsets_ns=_filled(time_offsets_ns, count, np.int32, 0),
            rings=_filled(rings, count, np.uint16, UNKNOWN_RING),
        )

    def __len__(self) -> int:
        return len(self.points_m)

    def without_invalid(self) -> tuple[LidarSweep, int]:
        """This sweep without the points that are not finite or lie in the sensor, and how many those were."""
        return _without_invalid(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class RadarScan:
    """One cycle of one radar, in the sensor's own frame.

    Args:
        channel: The radar's channel.
        timestamp_ns: Time of the cycle.
        received_ns: Time of arrival.
        points_m: (N, 3) float32; z is 0 where the radar measures no elevation.
        rcs_dbsm: (N,) float32 radar cross-section.
        radial_velocities_mps: (N,) float32 Doppler as measured, relative to the sensor, positive when
            the range grows; NaN if unknown.
        compensated_velocities_mps: (N,) float32 radial velocity over ground as the recording states
            it; NaN where it states none.

    """

    channel: str
    timestamp_ns: int
    received_ns: int
    points_m: NDArray[np.float32]
    rcs_dbsm: NDArray[np.float32]
    radial_velocities_mps: NDArray[np.float32]
    compensated_velocities_mps: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_points(
            self,
            {"rcs_dbsm": np.float32, "radial_velocities_mps": np.float32, "compensated_velocities_mps": np.float32},
        )

    @staticmethod
    def from_points(
        channel: str,
        timestamp_ns: int,
        points_m: NDArray[Any],
        *,
        rcs_dbsm: NDArray[Any] | None = None,
        radial_velocities_mps: NDArray[Any] | None = None,
        compensated_velocities_mps: NDArray[Any] | None = None,
        received_ns: int | None = None,
    ) -> RadarScan:
        """Build from points (N, 3) in any float type; what is not given is filled as unknown."""
        points = np.asarray(points_m, dtype=np.float32)
        count = len(points)
        return RadarScan(
            channel=channel,
            timestamp_ns=timestamp_ns,
            received_ns=timestamp_ns if received_ns is None else received_ns,
            points_m=points,
            rcs_dbsm=_filled(rcs_dbsm, count, np.float32, 0),
            radial_velocities_mps=_filled(radial_velocities_mps, count, np.float32, np.nan),
            compensated_velocities_mps=_filled(compensated_velocities_mps, count, np.float32, np.nan),
        )

    def __len__(self) -> int:
        return len(self.points_m)

    def without_invalid(self) -> tuple[RadarScan, int]:
        """This scan without the points that are not finite or lie in the sensor, and how many those were."""
        return _without_invalid(self)


@dataclass(frozen=True, kw_only=True)
class EgoPose:
    """Where the vehicle is in the odometry frame, and how it moves.

    Args:
        timestamp_ns: Time of the pose.
        received_ns: Time of arrival.
        odom_from_ego: Pose of the ego frame in the odometry frame.
        linear_velocity_mps: Velocity over ground along the ego axes; None if the log has none.
        angular_velocity_radps: Angular velocity about the ego axes; None if the log has none.

    """

    timestamp_ns: int
    received_ns: int
    odom_from_ego: SE3
    linear_velocity_mps: tuple[float, float, float] | None = None
    angular_velocity_radps: tuple[float, float, float] | None = None


def _filled(values: NDArray[Any] | None, count: int, dtype: Any, fill: Any) -> NDArray[Any]:
    return np.full(count, fill, dtype=dtype) if values is None else np.asarray(values, dtype=dtype)


def _check_points(message: LidarSweep | RadarScan, dtypes: dict[str, Any]) -> None:
    name = f"{message.channel} at {message.timestamp_ns} ns"
    points = checked_array(message.points_m, name=f"{name}: points_m", shape=(None, 3), dtype=np.float32)
    object.__setattr__(message, "points_m", points)
    for field, dtype in dtypes.items():
        array = checked_array(getattr(message, field), name=f"{name}: {field}", shape=(len(points),), dtype=dtype)
        object.__setattr__(message, field, array)


def _without_invalid(message: Any) -> tuple[Any, int]:
    points_m = message.points_m
    finite = np.isfinite(points_m)
    if finite.all() and points_m[:, 0].all():
        return message, 0
    # Row by row only what may be invalid: asking every row takes many times longer.
    valid = np.ones(len(points_m), bool) if finite.all() else finite.all(axis=1)
    maybe = np.flatnonzero(points_m[:, 0] == 0)
    valid[maybe] &= points_m[maybe].any(axis=1)
    if valid.all():
        return message, 0
    arrays = {
        field.name: getattr(message, field.name)[valid]
        for field in fields(message)
        if isinstance(getattr(message, field.name), np.ndarray)
    }
    return replace(message, **arrays), int((~valid).sum())

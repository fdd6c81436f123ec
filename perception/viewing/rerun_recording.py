"""A Rerun recording (`.rrd`) of a replay; entity paths mirror the frame tree. Needs the `viewer` extra."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.configs.disk import partial_of
from tricast.configs.errors import InputError
from tricast.perception.outputs import TickResult
from tricast.perception.palette import RADAR, TRUTH, class_rgb
from tricast.perception.viewing.bev_picture import DOPPLER_S, MIN_SCORE, MIN_SPEED_MPS
from tricast.perception.viewing.camera_overlay import arrangement
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.motion_compensation import lidar_in_ego, radar_in_ego
from tricast.sensors.synced_frame import SyncedFrame

SUPPORTED_RERUN = "0.41."
TIMELINE = "log_time"
WORLD = "/odom"
EGO = "/odom/base_link"
IMAGE_PLANE_M = 2.0
JPEG_QUALITY = 85
LIDAR_GRAY = (150, 175, 195)


class RerunRecorder:
    """Observer of a replay that writes a recording for the Rerun viewer; no viewer or server is started.

    What moves with the vehicle hangs below `/odom/base_link`; tracks, forecasts and truth are in ego axes at
    each tick. Cameras with a lens other than a pinhole appear as images without a place in the 3D view, which
    knows no other lens.

    Args:
        path: The `.rrd` file; it has its name only once it is whole.

    Raises:
        InputError: The Rerun SDK is missing or of another version.

    """

    def __init__(self, path: Path) -> None:
        self._rr = _sdk()
        self._path = path
        self._partial = partial_of(path)
        self._stream = self._rr.RecordingStream("tricast", send_properties=False)
        self._stream.set_log_time_enabled(False)
        self._stream.set_log_tick_enabled(False)
        self._stream.save(str(self._partial))
        self._has_rig = False

    def __enter__(self) -> RerunRecorder:
        return self

    def add(self, frame: SyncedFrame, result: TickResult, annotations: Annotations | None) -> None:
        """Record one tick, with the truth stamped at it, if any."""
        if not self._has_rig:
            self._log_rig(frame.rig)
            self._stream.send_blueprint(self._blueprint(frame.rig))
            self._has_rig = True
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(frame.timestamp_ns, "ns"))
        self._stream.log(EGO, self._transform(result.odom_from_ego))
        self._log_sensors(frame)
        self._log_tracks(result)
        truth = Boxes.empty() if annotations is None else annotations.boxes
        self._log_boxes(f"{EGO}/truth", truth, [TRUTH] * len(truth), annotations.class_names if annotations else ())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.flush()
        self._stream.disconnect()
        if kind is None:
            self._partial.replace(self._path)

    def _log_rig(self, rig: Rig) -> None:
        """Extrinsics and pinholes: they never change."""
        self._stream.log(WORLD, self._rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        for channel in rig.channels("camera"):
            lens = rig[channel].lens
            if not isinstance(lens, PinholeLens):
                continue
            pinhole = self._rr.Pinhole(
                resolution=[lens.width_px, lens.height_px],
                focal_length=list(lens.focal_px),
                # Rerun counts from the image's corner, Tricast from the middle of its first pixel.
                principal_point=[c + 0.5 for c in lens.principal_px],
                camera_xyz=self._rr.ViewCoordinates.RDF,
                image_plane_distance=IMAGE_PLANE_M,
            )
            self._stream.log(_camera_path(rig, channel), self._transform(rig[channel].ego_from_sensor), static=True)
            self._stream.log(_camera_path(rig, channel), pinhole, static=True)

    def _log_sensors(self, frame: SyncedFrame) -> None:
        for channel in frame.rig.channels("camera"):
            encoded = _as_file(frame.cameras.get(channel))
            path = _camera_path(frame.rig, channel)
            if encoded is None:
                self._stream.log(path, self._rr.Clear(recursive=False))
            else:
                self._stream.log(path, self._rr.EncodedImage(contents=encoded[0], media_type=encoded[1]))
        for channel in frame.rig.channels("lidar"):
            sweeps = frame.lidars.get(channel, ())[:1]
            lidar = lidar_in_ego(sweeps, frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
            self._stream.log(
                f"{EGO}/lidar/{channel}", self._rr.Points3D(lidar.points_m, colors=[LIDAR_GRAY], radii=[0.04])
            )
        for channel in frame.rig.channels("radar"):
            scans = frame.radars.get(channel, ())[:1]
            radar = radar_in_ego(scans, frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
            speeds = np.nan_to_num(radar.radial_velocities_mps)
            ticks = np.zeros_like(radar.points_m)
            ticks[:, :2] = radar.directions * speeds[:, None] * DOPPLER_S
            path = f"{EGO}/radar/{channel}"
            self._stream.log(path, self._rr.Points3D(radar.points_m, colors=[RADAR], radii=[0.15]))
            self._stream.log(
                f"{path}/doppler", self._rr.Arrows3D(origins=radar.points_m, vectors=ticks, colors=[RADAR])
            )

    def _log_tracks(self, result: TickResult) -> None:
        tracks, futures = result.tracks, result.trajectories
        shown = np.flatnonzero(tracks.scores >= MIN_SCORE)
        boxes, names = tracks.boxes[shown], [tracks.class_names[i] for i in shown]
        colors = [class_rgb(name) for name in names]
        speeds = np.hypot(*boxes.velocities_mps.T)
        labels = tuple(
            f"{int(tracks.track_ids[i])} {name} {speed:.1f} m/s"
            for i, name, speed in zip(shown, names, speeds, strict=True)
        )
        self._log_boxes(f"{EGO}/tracks", boxes, colors, labels)
        arrows = np.concatenate([boxes.velocities_mps, np.zeros((len(boxes), 1))], axis=1)
        velocities = self._rr.Arrows3D(origins=boxes.centers_m, vectors=arrows, colors=colors)
        self._stream.log(f"{EGO}/tracks/velocity", velocities)
        strips: list[NDArray[np.float64]] = []
        strip_colors: list[tuple[int, int, int, int]] = []
        for row in np.flatnonzero(speeds > MIN_SPEED_MPS):
            i = shown[row]
            ground_m = boxes.centers_m[row, 2] - boxes.sizes_m[row, 2] / 2
            for probability, points in zip(futures.probabilities[i], futures.points_m[i], strict=True):
                path = np.vstack([boxes.centers_m[row, :2], points])
                strips.append(np.column_stack([path, np.full(len(path), ground_m)]))
                strip_colors.append((*colors[row], int(60 + 195 * probability)))
        self._stream.log(f"{EGO}/tracks/forecasts", self._rr.LineStrips3D(strips, colors=strip_colors, radii=[0.06]))

    def _log_boxes(self, path: str, boxes: Boxes, colors: list[tuple[int, int, int]], labels: tuple[str, ...]) -> None:
        half = boxes.yaws_rad / 2
        zeros = np.zeros_like(half)
        turned = np.stack([zeros, zeros, np.sin(half), np.cos(half)], axis=1)
        self._stream.log(
            path,
            self._rr.Boxes3D(
                centers=boxes.centers_m, sizes=boxes.sizes_m, quaternions=turned, colors=colors, labels=list(labels)
            ),
        )

    def _transform(self, destination_from_source: SE3) -> Any:
        w, x, y, z = destination_from_source.quaternion_wxyz
        turned = self._rr.Quaternion(xyzw=[x, y, z, w])
        return self._rr.Transform3D(translation=list(destination_from_source.translation_m), quaternion=turned)

    def _blueprint(self, rig: Rig) -> Any:
        """Cameras in rows above the 3D view."""
        import rerun.blueprint as rrb

        def camera(channel: str) -> Any:
            path = _camera_path(rig, channel)
            inside = [f"{path}/**"]
            if isinstance(rig[channel].lens, PinholeLens):
                inside += [f"{EGO}/tracks/**", f"{EGO}/truth/**"]
            return rrb.Spatial2DView(origin=path, contents=inside, name=channel)

        scene = rrb.Spatial3DView(origin=EGO, contents=f"{WORLD}/**", name="scene")
        rows = [rrb.Horizontal(*(camera(channel) for channel in row)) for row in arrangement(rig)]
        return rrb.Blueprint(rrb.Vertical(*rows, scene, row_shares=[*([1] * len(rows)), 3]), collapse_panels=True)


def _camera_path(rig: Rig, channel: str) -> str:
    """Below the vehicle for a pinhole, apart for lenses that the 3D view cannot place."""
    return f"{EGO}/camera/{channel}" if isinstance(rig[channel].lens, PinholeLens) else f"/images/{channel}"


def _sdk() -> Any:
    """The Rerun SDK, imported only here."""
    remedy = "pip install tricast[viewer]"
    try:
        import rerun
    except ImportError as error:
        raise InputError(
            where="Rerun recording", got="no Rerun SDK", expected=f"rerun-sdk {SUPPORTED_RERUN}*", remedy=remedy
        ) from error
    if not rerun.__version__.startswith(SUPPORTED_RERUN):
        raise InputError(
            where="Rerun recording",
            got=f"rerun-sdk {rerun.__version__}",
            expected=f"rerun-sdk {SUPPORTED_RERUN}*, as the SDK changes between versions",
            remedy=remedy,
        )
    return rerun


def _as_file(camera: CameraFrame | None) -> tuple[bytes, str] | None:
    """Encoded image and its media type; None where there is none, or one whose header cannot be read."""
    if camera is None or camera.header_size_px() is None:
        return None
    if camera.encoding != "rgb8":
        return camera.data, f"image/{camera.encoding}"
    encoded = io.BytesIO()
    Image.fromarray(camera.pixels()).save(encoded, format="JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue(), "image/jpeg"

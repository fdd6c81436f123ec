"""Between sweeps or scans and `sensor_msgs/PointCloud2`, both ways, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import LidarSweep, Modality, RadarScan
from tricast.sensors.log import cloud_layouts as layouts
from tricast.sensors.log.schema import header, message_class, stamp_ns

LIDAR_DTYPE = np.dtype(
    {
        "names": ["x", "y", "z", "intensity", "t", "ring"],
        "formats": ["<f4", "<f4", "<f4", "<f4", "<i4", "<u2"],
        "offsets": [0, 4, 8, 12, 16, 20],
        "itemsize": 24,
    }
)
RADAR_DTYPE = np.dtype([(n, "<f4") for n in ("x", "y", "z", "rcs", "radial_velocity", "compensated_velocity")])
POINT_FIELD_TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 8: "<f8"}


def cloud_message(message: LidarSweep | RadarScan) -> Any:
    """`sensor_msgs/PointCloud2` of a sweep or a scan."""
    if isinstance(message, LidarSweep):
        points = np.zeros(len(message), LIDAR_DTYPE)
        points["intensity"], points["t"], points["ring"] = message.intensity, message.time_offsets_ns, message.rings
    else:
        points = np.zeros(len(message), RADAR_DTYPE)
        points["rcs"] = message.rcs_dbsm
        points["radial_velocity"] = message.radial_velocities_mps
        points["compensated_velocity"] = message.compensated_velocities_mps
    points["x"], points["y"], points["z"] = message.points_m.T
    codes = {np.dtype(text): code for code, text in POINT_FIELD_TYPES.items()}
    point_field = message_class("sensor_msgs/msg/PointField")
    dtype = points.dtype
    places: Mapping[Any, Any] = dtype.fields or {}
    fields = [
        point_field(name=name, offset=place[1], datatype=codes[place[0]], count=1) for name, place in places.items()
    ]
    return message_class("sensor_msgs/msg/PointCloud2")(
        header=header(message.timestamp_ns, message.channel),
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * len(points),
        data=points.view(np.uint8).reshape(-1) if len(points) else np.zeros(0, np.uint8),
        is_dense=bool(np.isfinite(message.points_m).all()),
    )


def point_cloud(
    message: Any, channel: str, received_ns: int, modality: Modality | None = None
) -> LidarSweep | RadarScan:
    """Sweep or scan of a cloud, in any of the layouts of `cloud_layouts`.

    Where it is not known whose it is, a cloud with a cross-section or a Doppler is a radar's. There are LiDARs that
    measure a Doppler, and radars that tell nothing but places.

    Raises:
        SensorDataError: Fields or sizes do not make a cloud with x, y and z.

    """
    points = _structured(message, channel)
    xyz = np.stack([points[n].astype(np.float32) for n in ("x", "y", "z")], axis=1)
    timestamp_ns = stamp_ns(message.header.stamp)
    if modality == "radar" or (modality != "lidar" and layouts.is_radar_layout(points.dtype.names or ())):
        return RadarScan.from_points(
            channel,
            timestamp_ns,
            xyz,
            rcs_dbsm=layouts.column(points, layouts.RCS_NAMES),
            radial_velocities_mps=layouts.column(points, layouts.RADIAL_VELOCITY_NAMES),
            compensated_velocities_mps=layouts.column(points, layouts.COMPENSATED_VELOCITY_NAMES),
            received_ns=received_ns,
        )
    return LidarSweep.from_points(
        channel,
        timestamp_ns,
        xyz,
        intensity=layouts.column(points, layouts.INTENSITY_NAMES),
        time_offsets_ns=layouts.time_offsets_ns(points, timestamp_ns),
        rings=layouts.column(points, layouts.RING_NAMES),
        received_ns=received_ns,
    )


def _structured(message: Any, channel: str) -> NDArray[Any]:
    names = [field.name for field in message.fields]
    used, data = message.point_step * message.width, np.frombuffer(message.data, np.uint8)
    if message.height > 1 and message.row_step > used and len(data) == message.row_step * message.height:
        data = np.ascontiguousarray(data.reshape(message.height, message.row_step)[:, :used]).reshape(-1)
    size = used * message.height
    within = all(_end(field) <= message.point_step for field in message.fields)
    if not {"x", "y", "z"} <= set(names) or len(set(names)) != len(names) or size != len(data) or not within:
        raise SensorDataError(
            where=channel,
            got=f"fields {names} and {len(message.data)} bytes for {message.width}x{message.height} points "
            f"of {message.point_step} bytes",
            expected="fields x, y, z, all of known types and within a point, and as many bytes as points",
            remedy="record the topic again or leave it out",
        )
    order = ">" if message.is_bigendian else "<"
    dtype = np.dtype(
        {
            "names": names,
            "formats": [np.dtype(POINT_FIELD_TYPES[field.datatype]).newbyteorder(order) for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    return data.view(dtype)


def _end(field: Any) -> float:
    """Place in a point after a field's first value; infinite where its type is none of ROS."""
    text = POINT_FIELD_TYPES.get(field.datatype)
    return math.inf if text is None else field.offset + np.dtype(text).itemsize

"""Raw images of `sensor_msgs/Image` as RGB, from the encodings that camera drivers use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.errors import SensorDataError

CHANNELS = {
    "rgb8": 3,
    "bgr8": 3,
    "8uc3": 3,
    "rgba8": 4,
    "bgra8": 4,
    "8uc4": 4,
    "mono8": 1,
    "8uc1": 1,
    "uyvy": 2,
    "yuyv": 2,
}
SAME_AS = {"yuv422": "uyvy", "yuv422_yuy2": "yuyv", "yuv422_uyvy": "uyvy", "yuyv422": "yuyv"}


def rgb_pixels(message: Any, channel: str) -> NDArray[np.uint8]:
    """Pixels (height, width, 3) of a raw image; rows may be padded.

    Raises:
        SensorDataError: The encoding is not known, or the bytes are too few for the size.

    """
    encoding = SAME_AS.get(message.encoding.lower(), message.encoding.lower())
    height, width, step = int(message.height), int(message.width), int(message.step)
    if encoding not in CHANNELS:
        raise SensorDataError(
            where=channel,
            got=f"an image of encoding '{message.encoding}'",
            expected=f"one of {', '.join(sorted({*CHANNELS, *SAME_AS}))}, or a compressed image",
            remedy="let the driver publish rgb8 or jpeg",
        )
    row = width * CHANNELS[encoding]
    if not (height and width) or step < row or len(message.data) < step * (height - 1) + row:
        raise SensorDataError(
            where=channel,
            got=f"{len(message.data)} bytes for {width}x{height} {encoding} in rows of {step}",
            expected="whole rows",
            remedy="check the camera's driver",
        )
    data = np.frombuffer(message.data, np.uint8)
    data = np.pad(data, (0, max(0, step * height - len(data))))[: step * height]
    pixels = data.reshape(height, step)[:, :row].reshape(height, width, -1)
    if encoding in ("uyvy", "yuyv"):
        return _from_yuv422(pixels, luma_first=encoding == "yuyv")
    if CHANNELS[encoding] == 1:
        return np.repeat(pixels, 3, axis=2)
    is_rgb = encoding.startswith("rgb")
    return np.ascontiguousarray(pixels[:, :, :3] if is_rgb else pixels[:, :, 2::-1])


def _from_yuv422(pixels: NDArray[np.uint8], *, luma_first: bool) -> NDArray[np.uint8]:
    """RGB by ITU-R BT.601 of limited range; two neighbours share their colour."""
    luma = pixels[:, :, 0 if luma_first else 1].astype(np.float32) - 16.0
    chroma = pixels[:, :, 1 if luma_first else 0].astype(np.float32) - 128.0
    u, v = np.repeat(chroma[:, 0::2], 2, axis=1), np.repeat(chroma[:, 1::2], 2, axis=1)
    width = luma.shape[1]
    u, v = u[:, :width], np.pad(v, ((0, 0), (0, max(0, width - v.shape[1]))), mode="edge")[:, :width]
    rgb = np.stack([1.164 * luma + 1.596 * v, 1.164 * luma - 0.392 * u - 0.813 * v, 1.164 * luma + 2.017 * u], axis=2)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)

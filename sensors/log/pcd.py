"""Point clouds in PCL's `.pcd` format, binary flavour, as nuScenes keeps its radar scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.errors import SensorDataError

HEADER_END = b"DATA binary\n"
KINDS = {"F": "f", "I": "i", "U": "u"}


def read_radar_pcd(path: Path) -> NDArray[Any]:
    """Read every field of a binary point cloud.

    Returns:
        A structured array (N,) with one field per name in the header.

    Raises:
        OSError: The file is missing or unreadable.
        SensorDataError: It is no binary PCD file, or is cut short.

    """
    data = path.read_bytes()
    place = data.find(HEADER_END)
    try:
        if place < 0:
            raise ValueError("no line 'DATA binary'")
        header: dict[str, list[str]] = {}
        for line in data[:place].decode("ascii").splitlines():
            name, *values = line.split() or ["#"]
            header[name] = values
        counts = header.get("COUNT", ["1"] * len(header["FIELDS"]))
        if set(counts) != {"1"}:
            raise ValueError(f"COUNT {' '.join(counts)}")
        columns = zip(header["FIELDS"], header["TYPE"], header["SIZE"], strict=True)
        dtype = np.dtype([(name, f"<{KINDS[kind]}{size}") for name, kind, size in columns])
        count = int(header["POINTS"][0])
        if count < 0:
            raise ValueError(f"POINTS {count}")
        return np.frombuffer(data[place + len(HEADER_END) :], dtype, count=count)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise SensorDataError(
            where=str(path),
            got=f"{len(data)} bytes that are not a whole binary PCD file ({error})",
            expected="a header with FIELDS, SIZE, TYPE, POINTS and 'DATA binary', then every point",
            remedy="download the file again",
        ) from error

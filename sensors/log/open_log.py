"""Opening any log, recognised by what it holds."""

from __future__ import annotations

from pathlib import Path

from tricast.sensors.calibration import Rig
from tricast.sensors.errors import LogError
from tricast.sensors.log.reader import McapLog
from tricast.sensors.log.stream import DrivingLog


def open_log(path: Path, *, rig: Rig | None = None) -> DrivingLog:
    """Open a Tricast log, a folder that holds one, or a recorded dataset's directory.

    Args:
        path: MCAP file or directory.
        rig: Calibration to use in place of the log's own.

    Raises:
        LogError: Nothing readable is there.

    """
    if not path.is_dir():
        return McapLog(path, rig)
    # Imported here: a dataset's file formats are of no concern to those who replay Tricast logs.
    from tricast.sensors.log.aimotive import AimotiveLog, is_aimotive
    from tricast.sensors.log.argoverse2 import Argoverse2Log, is_argoverse2
    from tricast.sensors.log.kitti_raw import KittiRawLog, is_kitti_raw
    from tricast.sensors.log.nuscenes import NuscenesLog, has_nuscenes_files, is_nuscenes
    from tricast.sensors.log.view_of_delft import ViewOfDelftLog, is_view_of_delft

    if is_nuscenes(path):
        return NuscenesLog(path, rig)
    if is_view_of_delft(path):
        return ViewOfDelftLog(path, rig)
    if is_aimotive(path):
        return AimotiveLog(path, rig)
    if is_argoverse2(path):
        return Argoverse2Log(path, rig)
    if is_kitti_raw(path):
        return KittiRawLog(path, rig)
    files = sorted(path.glob("*.mcap"))
    if len(files) == 1:
        return McapLog(files[0], rig)
    if not files and has_nuscenes_files(path):
        return NuscenesLog(path, rig)  # which says what is missing
    raise LogError(
        where=str(path),
        got=f"{len(files)} MCAP files" if files else "no log and no known dataset",
        expected="one .mcap file, or a nuScenes, View-of-Delft, aiMotive, Argoverse 2 or KITTI raw directory",
        remedy="name the file itself" if files else "check the path; docs/logs.md says what each directory holds",
    )

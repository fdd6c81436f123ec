"""Pictures of the worst samples of an evaluation."""

import io
import re

import numpy as np
from PIL import Image

from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.evaluation import evaluate_tables
from tricast.perception.evaluation.run_log import run_logs
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.viewing.recorder import BEV_SIZE_PX, WIDTH_PX
from tricast.perception.viewing.status_panel import draw_panel
from tricast.sensors.calibration import Rig
from tricast.sensors.log.log_part import LogPart
from tricast.sensors.synced_frame import SyncedFrame
from tricast.tools.demo import demo_log_path
from tricast.tools.evaluation_pictures import worst_pictures

PANEL_PX = (WIDTH_PX - BEV_SIZE_PX[0], BEV_SIZE_PX[1])
TIME_PX = 55
"""Rows of a panel that hold the time alone."""


def panel_at(since_s: float) -> np.ndarray:
    frame = SyncedFrame.of(Rig(), round(since_s * 1e9), [])
    return draw_panel(frame, Pipeline().step(frame), since_ns=0, size_px=PANEL_PX)


def test_a_picture_and_its_caption_tell_the_time_in_the_log() -> None:
    paths, part = [demo_log_path()], LogPart(start_s=1.0, duration_s=1.5)
    tables = run_logs(paths, PipelineConfig(), {"all": None}, part=part)
    (picture,) = worst_pictures(evaluate_tables(tables, {}), paths, PipelineConfig(), None)
    told = re.search(r"^demo after (\d+\.\d) s: \d+ objects found", picture.caption)
    assert told is not None
    since_s = float(told[1])
    assert 1.0 <= since_s <= 2.5
    with Image.open(io.BytesIO(picture.png)) as image:
        panel = np.asarray(image)[-PANEL_PX[1] :, -PANEL_PX[0] :]
    assert (panel[:TIME_PX] == panel_at(since_s)[:TIME_PX]).all()
    assert (panel[:TIME_PX] != panel_at(since_s + 0.1)[:TIME_PX]).any()

"""Small bars under a label: what each kind of sensor had to do with an object."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageDraw

from tricast.perception.outputs import TickResult
from tricast.perception.palette import GRID, SENSOR_COLORS
from tricast.sensors.calibration import MODALITIES

BAR_PX, GAP_PX = 6, 2
HEIGHT_PX = 2 * (BAR_PX + GAP_PX)


@dataclass(frozen=True, kw_only=True)
class ShareBars:
    """What the bars of one object show, each by modality in the order of `MODALITIES`.

    Args:
        attention: Sums to 1.
        score_drop: What a score loses without the modality; below 0 shows as nothing.

    """

    attention: tuple[float, ...]
    score_drop: tuple[float, ...]

    def draw(self, draw: ImageDraw.ImageDraw, left: float, top: float, width: float) -> None:
        """Attention as one bar in three parts; below it a third of the width for each loss."""
        start = left
        for modality, share in zip(MODALITIES, self.attention, strict=True):
            _fill(draw, start, top, share * width, SENSOR_COLORS[modality])
            start += share * width
        below, third = top + BAR_PX + GAP_PX, width / len(MODALITIES)
        for place, (modality, drop) in enumerate(zip(MODALITIES, self.score_drop, strict=True)):
            start, room = left + place * third, third - GAP_PX
            _fill(draw, start, below, room, GRID)
            _fill(draw, start, below, room * min(max(drop, 0.0), 1.0), SENSOR_COLORS[modality])


def bars_of(result: TickResult, track: int) -> ShareBars | None:
    """The bars of a track; None where shares were not asked for or no detection updated it."""
    shares, row = result.detections.sensor_shares, int(result.tracks.detection_indices[track])
    if shares is None or row < 0:
        return None
    return ShareBars(attention=tuple(shares.attention[row].tolist()), score_drop=tuple(shares.score_drop[row].tolist()))


def _fill(draw: ImageDraw.ImageDraw, left: float, top: float, width: float, color: tuple[int, int, int]) -> None:
    if width >= 1:
        draw.rectangle([left, top, left + width - 1, top + BAR_PX - 1], fill=(*color, 255))

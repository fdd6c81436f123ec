"""The one interface of every detector."""

from __future__ import annotations

from typing import Any, Protocol

from tricast.perception.outputs import Detections
from tricast.perception.undecoded_pictures import UndecodedPictures
from tricast.sensors.frames import Modality
from tricast.sensors.synced_frame import SyncedFrame


class Detector(Protocol):
    """Takes what a tick has, in any subset of sensors, and gives boxes."""

    @property
    def name(self) -> str:
        """The name that `--detector` takes."""
        ...

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Kinds of sensors that it looks at; what others deliver changes nothing."""
        ...

    @property
    def undecoded(self) -> UndecodedPictures:
        """Pictures that did not decode when it looked at them."""
        ...

    def prepare(self, frame: SyncedFrame) -> Any:
        """The part of the work that depends on nothing but the tick: in any thread, for several ticks at once."""
        ...

    def detect(self, frame: SyncedFrame, prepared: Any = None) -> Detections:
        """Boxes in ego axes at `frame.timestamp_ns`; empty where no sensor has anything.

        Ticks come in order, but not all of them: what a detector remembers it moves on itself, by the time and the ego
        motion of `frame`.

        Args:
            frame: The tick.
            prepared: What `prepare` gave for it; None has it prepared here.

        """
        ...

    def reset(self) -> None:
        """Forget everything learned from earlier ticks (a jump in time, another log)."""
        ...

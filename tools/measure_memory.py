"""Peak memory of replaying a short and a long log: `python -m tricast.tools.measure_memory --minutes 1 10`.

The logs repeat a synthetic drive with ever later stamps, LiDAR thinned to every `--thin`-th point. Each replay runs
in a process of its own, whose peak resident memory (ru_maxrss) is printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tricast.perception.config import PipelineConfig
from tricast.perception.streaming.replay import replay
from tricast.sensors.frames import LidarSweep
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog, Message
from tricast.sensors.log.writer import LogWriter
from tricast.tools.demo import demo_log_path
from tricast.tools.user_input import mistakes_in_one_line, positive_int

MINUTE_NS = 60_000_000_000
LOOP_GAP_NS = 100_000_000


def looped(log: DrivingLog, length_ns: int, thin: int) -> Iterator[Message]:
    """The messages of a log, again and again, each round stamped later, until `length_ns` is filled."""
    period_ns = log.end_ns - log.start_ns + LOOP_GAP_NS
    for shift_ns in range(0, length_ns, period_ns):
        for message in log.messages():
            if message.received_ns - log.start_ns + shift_ns > length_ns:
                return
            if isinstance(message, LidarSweep):
                message = replace(
                    message,
                    points_m=message.points_m[::thin],
                    intensity=message.intensity[::thin],
                    time_offsets_ns=message.time_offsets_ns[::thin],
                    rings=message.rings[::thin],
                )
            yield replace(
                message, timestamp_ns=message.timestamp_ns + shift_ns, received_ns=message.received_ns + shift_ns
            )


def peak_rss_mb(minutes: float, thin: int) -> float:
    """Write a log of this length, replay it in a fresh process and return that process's peak RSS in MB."""
    log = open_log(demo_log_path())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mcap"
        with LogWriter(path, log.rig) as writer:
            for message in looped(log, round(minutes * MINUTE_NS), thin):
                writer.write(message)
        command = [sys.executable, "-m", "tricast.tools.measure_memory", "--replay", str(path), "--out", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@mistakes_in_one_line
def main() -> int:
    """Print peak RSS per length, and the ratio of the last to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--thin", type=positive_int, default=8)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.replay is not None:
        replay(open_log(args.replay), PipelineConfig(), args.out / "run")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    peaks = {minutes: round(peak_rss_mb(minutes, args.thin), 1) for minutes in args.minutes}
    first, *_, last = peaks.values()
    print(json.dumps({"peak_rss_mb": peaks, "ratio": round(last / first, 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Full frames per second of the synthetic world: `python -m tricast.tools.benchmark_synth`.

Inside the clock: starting the processes, building the scenes, traffic, casting, shading, JPEG, truth, and writing the
log. A full frame is one period of every sensor.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tricast.sensors.frames import LidarSweep
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synthetic.casting import default_backend
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools.user_input import mistakes_in_one_line, positive_int


@mistakes_in_one_line
def main() -> int:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="standard")
    parser.add_argument("--scenes", type=positive_int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=positive_int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    world = load_world(args.world)
    first = world.seeds.validation[0]
    drive = SyntheticDrive(world, range(first, first + args.scenes), args.seconds, workers=args.workers)
    with tempfile.TemporaryDirectory() as folder, LogWriter(Path(folder) / "log.mcap", drive.rig) as writer:
        begin, sweeps, count = time.perf_counter(), 0, 0
        for message in drive.messages():
            writer.write(message)
            sweeps += isinstance(message, LidarSweep)
            count += 1
        seconds = time.perf_counter() - begin
    figures = {
        "full_frames_per_second": round(sweeps / seconds, 2),
        "full_frames": sweeps,
        "messages": count,
        "seconds": round(seconds, 2),
        "workers": args.workers,
        "backend": default_backend(),
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

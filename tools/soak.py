"""Soak test of the streaming runtime: `python -m tricast.tools.soak --minutes 30 --json`.

A log is read again and again and put into the runtime as fast as it takes messages: the highest rate that this
machine sustains, at which nothing is dropped, as `lossless` pushes back. Stamps go on from round to round and are set
back after 20 rounds, which resets everything. After a warm-up of a tenth of the time, memory, threads, file
descriptors and latency of the first and the last tenth of what remains are set side by side.

With `--ros` the log is played in a loop, at `--rate`, into the live node, as processes on a ROS 2 graph. Watched is
the node's process; latency is from the newest stamp of a result's inputs until it was sent, and ticks that the newest
overtook are dropped and counted. `--json` prints one object. Exit code 1: something grew, as `growth` says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.streaming.graceful_end import stop_on_signals
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.perception.streaming.runtime_result import RuntimeResult
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog, Message
from tricast.sensors.synchronization import Synchronizer
from tricast.tools.demo import demo_log_path
from tricast.tools.measure_memory import LOOP_GAP_NS, looped
from tricast.tools.process_gauge import Gauge, figures
from tricast.tools.user_input import mistakes_in_one_line, positive_float

KEPT_LATENCIES = 1000
ROUNDS = 20
"""Rounds of a log until its time is set back."""


def soak(log: DrivingLog, config: PipelineConfig, minutes: float, stop: Event, *, workers: int = 1) -> dict[str, Any]:
    """Run for so many minutes, or until `stop`, and give the figures."""
    pipeline = Pipeline(config, keep_latencies=KEPT_LATENCIES)
    former = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns)
    gauge = Gauge(os.getpid(), minutes * 60)

    def take(result: RuntimeResult) -> None:
        gauge.add(result.delivery.processing_ms)

    resets = 0
    with StreamingRuntime(pipeline, former, StreamingConfig(workers=workers), on_result=take) as runtime:
        for count, message in _without_end(log):
            if gauge.elapsed_s >= gauge.length_s or stop.is_set():
                break
            runtime.put(message)
            resets = count
    status = runtime.status()
    return {
        "policy": "lossless",
        "detector": pipeline.detector.name,
        "workers": workers,
        "ticks": status.results,
        "dropped": status.dropped_ticks + status.dropped_messages,
        "ticks_per_s": round(status.results / gauge.elapsed_s, 2),
        "resets": resets,
        "minutes": round(gauge.elapsed_s / 60, 2),
        **figures(gauge.samples),
    }


def _without_end(log: DrivingLog) -> Iterator[tuple[int, Message]]:
    """Messages of a log for ever, each with how often time was set back before it."""
    length_ns = ROUNDS * (log.end_ns - log.start_ns + LOOP_GAP_NS) - LOOP_GAP_NS
    resets = 0
    while True:
        for message in looped(log, length_ns, thin=1):
            yield resets, message
        resets += 1


@mistakes_in_one_line
def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=positive_float, default=30.0)
    parser.add_argument("--log", type=Path, default=demo_log_path(), help="any log (default: the demo log)")
    parser.add_argument("--detector", choices=["cluster", "network"], default="network")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare ticks")
    parser.add_argument("--ros", action="store_true", help="through a ROS 2 graph")
    parser.add_argument(
        "--rate", type=positive_float, default=1.0, metavar="X", help="with --ros: multiple of real time"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    args = parser.parse_args()
    found = {**_run(args), "cpus": len(os.sched_getaffinity(0)), "load": [round(x, 2) for x in os.getloadavg()]}
    print(json.dumps(found) if args.json else "\n".join(f"{key:>14} {value}" for key, value in found.items()))
    return 1 if found["growth"] else 0


def _run(args: argparse.Namespace) -> dict[str, Any]:
    with stop_on_signals() as stop:
        if args.ros:
            # Only here: it needs rclpy.
            from tricast.tools.soak_graph import soak_on_graph

            return soak_on_graph(args.log, args.detector, args.minutes, args.rate, stop)
        config = chosen_config(None, detector=args.detector)
        return soak(open_log(args.log), config, args.minutes, stop, workers=args.workers)


if __name__ == "__main__":
    sys.exit(main())

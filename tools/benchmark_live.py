"""How the live node does between processes: `python -m tricast.tools.benchmark_live`, where ROS 2 is installed.

Latency from the newest sensor stamp to the published result, ticks dropped, and for each fault of each sensor the time
until the diagnostics said so and until the sensor counted as well again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tricast.configs.errors import InputError
from tricast.perception.streaming.latency import percentiles
from tricast.perception.streaming.results_mcap import RESULT_TYPE
from tricast.sensors.ros.installation import message_type
from tricast.sensors.ros.listener import Listener
from tricast.sensors.ros.session import ros_session
from tricast.tools.live_vehicle import Fault, Vehicle
from tricast.tools.user_input import mistakes_in_one_line

FAULTS = {"dead": Fault(dead=True), "frozen": Fault(frozen=True), "300 ms late": Fault(late_s=0.3)}
WAIT_S = 20.0
SETTLE_S = 3.0


@mistakes_in_one_line
def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=70.0, help="how long to measure latency")
    parser.add_argument("--detector", choices=["cluster", "network"], default="cluster")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(10 + os.getpid() % 90))
    command = [sys.executable, "-m", "tricast.tools.cli", "live", "--detector", args.detector]
    _check_packages()
    with ros_session(), ExitStack() as stack:
        listener, vehicle = Listener(), Vehicle()
        stack.callback(listener.close)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        stack.callback(process.wait, timeout=30)
        stack.callback(process.send_signal, signal.SIGTERM)
        stack.callback(vehicle.close)
        measured = measure(listener, vehicle, args.seconds)
    print(json.dumps(measured) if args.json else json.dumps(measured, indent=2))
    return 0


def _check_packages() -> None:
    for type_name in (RESULT_TYPE, "tf2_msgs/msg/TFMessage"):
        if message_type(type_name) is None:
            raise InputError(
                where="ROS 2",
                got=f"no {type_name.split('/')[0]} in this Python",
                expected="the package compiled",
                remedy="make ros-env in a clone (docs/ros2.md)",
            )


def measure(listener: Listener, vehicle: Vehicle, seconds: float) -> dict[str, Any]:
    """Latency in peace, then each fault of each sensor."""
    listener.results()
    _time_until(lambda: all(listener.value(c, "state") == "ok" for c in vehicle.channels), 60.0)
    begin = len(listener.results())
    time.sleep(seconds)
    results = [message for _, message in listener.results()[begin:]]
    used = [r for r in results if r.inputs]
    measured: dict[str, Any] = {
        "results": len(results),
        "dropped_ticks": sum(int(r.delivery.dropped_ticks) for r in results),
        "late": sum(bool(r.delivery.late) for r in results),
        "since_newest_input_ms": percentiles([r.since_newest_input_ns / 1e6 for r in used]),
        "since_oldest_input_ms": percentiles([r.since_oldest_input_ns / 1e6 for r in used]),
        "faults": {},
    }
    for name, fault in FAULTS.items():
        for channel in vehicle.channels:
            measured["faults"][f"{channel} {name}"] = _fault(listener, vehicle, channel, fault)
    return measured


def _fault(listener: Listener, vehicle: Vehicle, channel: str, fault: Fault) -> dict[str, float | None]:
    """Seconds until a fault is said, and until the sensor is well again after it ended; None: not within `WAIT_S`."""
    time.sleep(SETTLE_S)
    _time_until(lambda: listener.value(channel, "state") == "ok", WAIT_S)
    vehicle.faults[channel] = fault
    said_s = _time_until(lambda: listener.value(channel, "state") in ("degraded", "lost"), WAIT_S)
    time.sleep(SETTLE_S)
    vehicle.faults[channel] = Fault()
    well_s = _time_until(lambda: listener.value(channel, "state") in ("ok", "recovered"), WAIT_S)
    return {"said_s": said_s, "well_s": well_s}


def _time_until(true: Callable[[], bool], within_s: float) -> float | None:
    begin_s = time.monotonic()
    while time.monotonic() - begin_s < within_s:
        if true():
            return round(time.monotonic() - begin_s, 2)
        time.sleep(0.01)
    return None


if __name__ == "__main__":
    sys.exit(main())

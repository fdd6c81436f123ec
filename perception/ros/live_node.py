"""The live node: a managed (lifecycle) ROS 2 node around the streaming runtime.

Unconfigured > configure (parameters, weights) > inactive > activate (subscriptions, runtime, results) > active.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.detectors.interface import Detector
from tricast.perception.ros.diagnostics import channel_status, diagnostic_array, pipeline_status
from tricast.perception.ros.live_config import NOT_OURS, LiveConfig, parse_parameters
from tricast.perception.ros.result_outputs import ResultOutputs
from tricast.perception.ros.sensor_inputs import SensorInputs
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import check_writable
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.perception.streaming.runtime_result import RuntimeResult
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.health import ChannelReport
from tricast.sensors.log.rig_file import load_rig
from tricast.sensors.log.schema import serialize
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.qos import Qos
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer

NODE_NAME = "tricast_live"
ADVANCE_S = 0.03
DISCOVERY_S = 0.5
JUMP_BACK_S = 1.0
KEPT_LATENCIES = 1000
"""Ticks of which times are kept: a node may run for weeks."""


def make_node(overrides: Sequence[Any] = ()) -> Any:
    """The node, unconfigured; `live` is what runs in it.

    Args:
        overrides: Parameters that win over those of the command line and of parameter files.

    """
    lifecycle = ros_module("rclpy.lifecycle")

    class LiveNode(lifecycle.LifecycleNode):
        """A lifecycle node whose transitions call a `Live`."""

        def __init__(self) -> None:
            super().__init__(
                NODE_NAME, parameter_overrides=list(overrides), automatically_declare_parameters_from_overrides=True
            )
            self.live = Live(self)

        def declare_parameters(self, namespace: str, parameters: Any, ignore_override: bool = False) -> Any:
            # An empty list of a command line or a file has no type: as a static one it would be refused, unnamed.
            for _, value, descriptor in (given for given in parameters if len(given) == 3):
                descriptor.dynamic_typing |= value is None
            return super().declare_parameters(namespace, parameters, ignore_override=ignore_override)

        def on_configure(self, state: Any) -> Any:
            return self._done(self.live.configure, super().on_configure, state)

        def on_activate(self, state: Any) -> Any:
            return self._done(self.live.activate, super().on_activate, state)

        def on_deactivate(self, state: Any) -> Any:
            return self._done(self.live.deactivate, super().on_deactivate, state)

        def on_cleanup(self, state: Any) -> Any:
            return self._done(self.live.clean_up, super().on_cleanup, state)

        def on_shutdown(self, state: Any) -> Any:
            return self._done(self.live.shut_down, super().on_shutdown, state)

        def _done(self, act: Any, then: Any, state: Any) -> Any:
            self.live.refusal = None
            try:
                act()
            except InputError as error:
                self.live.refusal = error
                self.get_logger().error(str(error))
                return lifecycle.TransitionCallbackReturn.FAILURE
            except Exception as error:  # which rclpy would pass over without a word
                self.live.refusal = error
                self.get_logger().error(traceback.format_exc())
                return lifecycle.TransitionCallbackReturn.FAILURE
            return then(state)

    return LiveNode()


class Live:
    """What the lifecycle's transitions do.

    Args:
        node: The lifecycle node.

    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self.config = LiveConfig()
        self.refusal: Exception | None = None
        """Why the last transition was refused; None where it was not."""
        self.state = "unconfigured"
        self.finalized = False
        self._pipeline: Pipeline | None = None
        self._fixed_rig: Rig | None = None
        self._running: ExitStack | None = None
        self._runtime: StreamingRuntime | None = None
        self._inputs: SensorInputs | None = None
        self._outputs: ResultOutputs | None = None
        self._channels: dict[str, ChannelReport] = {}
        diagnostics = message_type("diagnostic_msgs/msg/DiagnosticArray")
        self._diagnostics = node.create_publisher(diagnostics, "/diagnostics", Qos(depth=10).profile())
        clock = ros_module("rclpy.clock")
        self._steady = clock.Clock(clock_type=clock.ClockType.STEADY_TIME)
        threshold = clock.JumpThreshold(
            min_forward=None,
            min_backward=ros_module("rclpy.duration").Duration(seconds=-JUMP_BACK_S),
            on_clock_change=True,
        )
        self._jumps = node.get_clock().create_jump_callback(threshold, post_callback=self._time_jumped)
        node.add_on_set_parameters_callback(self._refuse_changes)

    def configure(self) -> None:
        """Read the parameters and load what they name.

        Raises:
            InputError: A parameter is unknown or wrong, or names what is not there.

        """
        values = {name: parameter.value for name, parameter in self._node.get_parameters_by_prefix("").items()}
        self.config = parse_parameters(values, node=self._node.get_name())
        if self.config.out:
            check_writable(Path(self.config.out))
        self._fixed_rig = load_rig(Path(self.config.calibration)) if self.config.calibration else None
        pipeline = self.config.pipeline()
        self._pipeline = Pipeline(pipeline, detector=live_detector(pipeline), keep_latencies=KEPT_LATENCIES)
        warm_up(self._pipeline)
        self.state = "inactive"
        self._node.get_logger().info(f"configured: detector {self._pipeline.detector.name}")

    def activate(self) -> None:
        """Start the runtime, hear the sensors and publish."""
        assert self._pipeline is not None
        self._pipeline.reset()
        self._channels = {}
        streaming = self.config.streaming()
        timing = self._pipeline.config.synchronizer
        former = Synchronizer(self._fixed_rig or Rig(), timing, origin_ns=0, close_early=True)
        with ExitStack() as stack:
            self._outputs = ResultOutputs(self._node, self.config, self._now_ns)
            runtime = StreamingRuntime(self._pipeline, former, streaming, on_result=self._on_result)
            inputs = SensorInputs(self._node, self.config, runtime, self._fixed_rig)
            stack.enter_context(self._outputs)
            self._runtime = stack.enter_context(runtime)
            self._inputs = inputs
            stack.callback(inputs.close)
            for period_s, callback in (
                (ADVANCE_S, self._advance),
                (DISCOVERY_S, inputs.discover),
                (1 / self.config.diagnostics_hz, self._tell_diagnostics),
            ):
                timer = self._node.create_timer(period_s, callback, clock=self._steady)
                stack.callback(self._node.destroy_timer, timer)
            inputs.discover()
            self._running = stack.pop_all()
        self.state = "active"

    def deactivate(self) -> None:
        """Finish the tick in hand, publish it, and stop."""
        self.state = "inactive"
        if self._running is not None:
            running, self._running = self._running, None
            try:
                running.close()
            finally:
                self._runtime = self._inputs = self._outputs = None

    def clean_up(self) -> None:
        """Stop, and let go of weights."""
        self.deactivate()
        self._pipeline, self.state = None, "unconfigured"

    def shut_down(self) -> None:
        """Stop for good."""
        self.clean_up()
        self.finalized = True

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _on_result(self, result: RuntimeResult) -> None:
        self._channels = dict(result.channels)
        assert self._outputs is not None and self._inputs is not None
        self._outputs.odom_frame = self._inputs.odom_frame
        self._outputs.add(result)

    def _advance(self) -> None:
        now_ns = self._now_ns()
        if now_ns > 0 and self._runtime is not None:
            self._runtime.advance(now_ns)

    def _time_jumped(self, jump: Any) -> None:
        if self._inputs is not None:
            self._node.get_logger().warning("time jumped: tracks, memory and moving transforms begin anew")
            self._inputs.forget_time()

    def _tell_diagnostics(self) -> None:
        inputs, outputs, runtime = self._inputs, self._outputs, self._runtime
        if inputs is None or outputs is None or runtime is None:
            return
        extra: dict[str, object] = {
            "since_newest_input_ms": "" if outputs.since_newest_ms is None else f"{outputs.since_newest_ms:.1f}",
            "extrapolated_ms": "" if outputs.extrapolated_ms is None else f"{outputs.extrapolated_ms:.1f}",
            "not_published": outputs.not_published,
            "not_written": outputs.not_written,
            "before_time": inputs.before_time,
            **self._ran_by(),
        }
        statuses = [pipeline_status(runtime.status(), state=self.state, extra=extra)]
        for channel in sorted({*inputs.channels(), *self._channels}):
            heard = [s for topic, s in inputs.subscriptions.items() if topic.startswith(f"/sensors/{channel}/")]
            statuses.append(
                channel_status(
                    channel,
                    self._channels.get(channel),
                    lacks=inputs.calibration.missing.get(channel),
                    trouble=next((s.trouble for s in heard if s.trouble), None),
                    malformed=inputs.malformed.get(channel),
                    qos="; ".join(sorted({str(s.qos) for s in heard if s.qos is not None})),
                    publishers=max((s.publishers for s in heard), default=0),
                )
            )
        self._diagnostics.publish(serialize(diagnostic_array(self._now_ns(), statuses)))

    def _ran_by(self) -> dict[str, object]:
        """Backend and threads, where the network is the detector."""
        return {} if self._pipeline is None else dict(getattr(self._pipeline.detector, "ran_by", {}))

    def _refuse_changes(self, parameters: list[Any]) -> Any:
        result = ros_module("rcl_interfaces.msg").SetParametersResult
        own = [p.name for p in parameters if p.name.split(".")[0] not in NOT_OURS]
        if own and self.state != "unconfigured":
            return result(
                successful=False, reason=f"{', '.join(own)}: clean up the node first, then configure it again"
            )
        return result(successful=True)


def live_detector(config: PipelineConfig) -> Detector | None:
    """The network with a backend that opens beside the ticks; None where another detector is configured."""
    if config.detector != "network":
        return None
    # Only here: torch takes seconds to import, and the classical detector does without it.
    from tricast.perception.detectors.network import NetworkDetector

    return NetworkDetector(config.network, live=True)


def warm_up(pipeline: Pipeline) -> None:
    """Run the detector once on a made-up sweep: the first run of a process takes many times longer than the next."""
    points_m = np.random.default_rng(0).uniform((5, -5, -1.5), (25, 5, 0.5), (2000, 3))
    rig = Rig.of([SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3(translation_m=(0, 0, 1.8)))])
    pipeline.detector.detect(SyncedFrame.of(rig, 0, [LidarSweep.from_points("LIDAR", 0, points_m)]))
    pipeline.detector.reset()

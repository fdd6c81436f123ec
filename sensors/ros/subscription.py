"""Raw subscriptions whose quality of service follows what the publishers offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tricast.sensors.ros.installation import message_type
from tricast.sensors.ros.qos import Qos, matching, mismatch, offered_on


class AdaptiveSubscription:
    """Hears a topic's messages as CDR bytes, from the first publisher on.

    Args:
        node: The node.
        topic: Topic as the node names it; remapping applies.
        type_name: Type, such as `sensor_msgs/msg/PointCloud2`; its package must be installed.
        callback: Called with the bytes, in the executor's thread.
        depth: Messages that the middleware holds.
        asked: QoS to ask for whatever is offered; None adapts.

    """

    def __init__(
        self,
        node: Any,
        topic: str,
        type_name: str,
        callback: Callable[[bytes], None],
        *,
        depth: int,
        asked: Qos | None = None,
    ) -> None:
        self.topic, self.type_name = topic, type_name
        self.qos: Qos | None = None
        self.publishers = 0
        self.trouble: str | None = None
        """Why a publisher of this topic is not heard."""
        self._node, self._callback, self._depth, self._asked = node, callback, depth, asked
        self._subscription: Any = None

    def adapt(self) -> None:
        """Look at the publishers again: subscribe, change the QoS, and say aloud what was chosen or does not match."""
        offered = offered_on(self._node, self.topic)
        self.publishers = len(offered)
        if not offered:
            self.trouble = None
            return
        wanted = self._asked or matching(offered, depth=self._depth)
        if self.topic == "/tf_static" and any(q.durability == "transient_local" for q in offered):
            wanted = Qos(reliability=wanted.reliability, durability="transient_local", depth=self._depth)
        if wanted != self.qos:
            self.close()
            kind = message_type(self.type_name)
            assert kind is not None
            self._subscription = self._node.create_subscription(
                kind, self.topic, self._callback, wanted.profile(), raw=True
            )
            self._node.get_logger().info(f"{self.topic}: subscribed with {wanted}; offered: {_listed(offered)}")
            self.qos = wanted
        troubles = {text for q in offered if (text := mismatch(q, wanted)) is not None}
        trouble = "; ".join(sorted(troubles)) or None
        if trouble is not None and trouble != self.trouble:
            self._node.get_logger().warning(f"{self.topic}: a publisher is not heard: the subscription {trouble}")
        self.trouble = trouble

    def close(self) -> None:
        """Stop hearing."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription, self.qos = None, None


def _listed(offered: list[Qos] | tuple[Qos, ...] | Any) -> str:
    return " and ".join(sorted({str(q) for q in offered}))

"""Quality of service without a graph: what matches what, and what recorders write."""

from types import SimpleNamespace

import pytest
import yaml

from tricast.sensors.log.ros2_mcap import qos_profiles
from tricast.sensors.ros.qos import LATCHED, Qos, matching, mismatch, of_recorded
from tricast.sensors.ros.subscription import AdaptiveSubscription

BEST_EFFORT = Qos(reliability="best_effort")


def test_a_subscription_asks_for_no_more_than_every_publisher_offers() -> None:
    assert matching([Qos(), Qos()], depth=7) == Qos(depth=7)
    assert matching([Qos(), BEST_EFFORT], depth=7) == Qos(reliability="best_effort", depth=7)
    assert matching([LATCHED], depth=1) == LATCHED
    assert matching([LATCHED, Qos()], depth=1).durability == "volatile"
    assert matching([], depth=3) == Qos(reliability="best_effort", depth=3)


def test_mismatches_are_said_in_words() -> None:
    assert mismatch(BEST_EFFORT, Qos()) == "asks for reliable, the publisher offers best effort"
    assert mismatch(Qos(), LATCHED) == "asks for transient local, the publisher offers volatile"
    assert mismatch(Qos(), BEST_EFFORT) is None
    assert mismatch(LATCHED, Qos()) is None


def test_a_publisher_that_left_is_no_longer_said_not_to_be_heard() -> None:
    nobody = SimpleNamespace(get_publishers_info_by_topic=lambda topic: [])
    subscription = AdaptiveSubscription(nobody, "/points", "sensor_msgs/msg/PointCloud2", print, depth=1)
    subscription.trouble = mismatch(BEST_EFFORT, Qos())
    subscription.adapt()
    assert subscription.trouble is None


@pytest.mark.parametrize("qos", [Qos(), BEST_EFFORT, LATCHED, Qos(depth=42)])
def test_what_is_recorded_reads_back(qos: Qos) -> None:
    assert of_recorded(qos.as_recorded()) == qos
    assert isinstance(yaml.safe_load(qos.as_recorded())[0]["reliability"], int), "older players read only numbers"


def test_recorded_names_numbers_and_nonsense_are_read() -> None:
    named = "- history: keep_last\n  depth: 5\n  reliability: best_effort\n  durability: transient_local\n"
    assert of_recorded(named) == Qos(reliability="best_effort", durability="transient_local", depth=5)
    assert of_recorded(qos_profiles(latched=True)) == LATCHED
    for nonsense in ("", "[1, 2", "hello", "- 3"):
        assert of_recorded(nonsense) == Qos()

"""`diagnostic_msgs/DiagnosticArray` of the live node: one status for the pipeline and one per channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tricast.perception.streaming.runtime_result import RuntimeStatus
from tricast.sensors.health import ChannelReport
from tricast.sensors.log.schema import header, message_class

OK, WARN, ERROR, STALE = 0, 1, 2, 3
LEVELS = {"ok": OK, "recovered": OK, "degraded": WARN, "lost": ERROR, "waiting": STALE}
STATUS_LEVELS = {"ok": OK, "warn": WARN, "error": ERROR}


def diagnostic_array(now_ns: int, statuses: list[Any]) -> Any:
    """The message of all statuses."""
    return message_class("diagnostic_msgs/msg/DiagnosticArray")(header=header(now_ns, ""), status=statuses)


def pipeline_status(status: RuntimeStatus, *, state: str, extra: Mapping[str, object]) -> Any:
    """How the pipeline as a whole does, in a lifecycle state."""
    values: dict[str, object] = {
        "state": state,
        "ticks": status.ticks,
        "results": status.results,
        "late": status.late,
        "dropped_ticks": status.dropped_ticks,
        "dropped_messages": status.dropped_messages,
        "processing_ms": "" if status.processing_ms is None else f"{status.processing_ms:.1f}",
        "since_in_time_s": f"{status.since_in_time_s:.2f}",
        **extra,
    }
    return _status("tricast: pipeline", STATUS_LEVELS[status.level], "; ".join(status.reasons) or "ok", values)


def channel_status(
    channel: str,
    report: ChannelReport | None,
    *,
    lacks: str | None,
    trouble: str | None,
    malformed: tuple[int, str] | None,
    qos: str,
    publishers: int,
) -> Any:
    """How one channel does.

    Args:
        channel: Its name.
        report: Its health; None before the runtime knows it.
        lacks: What its calibration lacks.
        trouble: Why a publisher of its topics is not heard.
        malformed: How many messages were left out as they do not decode, and what was wrong with the last. Pictures
            that the detector could not decode are in the report.
        qos: What was asked for.
        publishers: How many publishers its topics have.

    """
    state = report.state if report is not None else "waiting"
    level = LEVELS[state]
    reasons = list(report.reasons) if report is not None else []
    if lacks is not None:
        level, reasons = ERROR, [f"not calibrated: {lacks}", *reasons]
    if trouble is not None:
        level, reasons = max(level, WARN) if level != STALE else WARN, [*reasons, f"the subscription {trouble}"]
    values: dict[str, object] = {
        "state": state,
        "rate_hz": "" if report is None or report.rate_hz is None else f"{report.rate_hz:.2f}",
        "age_ms": "" if report is None or report.age_ns is None else f"{report.age_ns / 1e6:.1f}",
        "delay_ms": "" if report is None or report.delay_ns is None else f"{report.delay_ns / 1e6:.1f}",
        "gaps": 0 if report is None else report.gaps,
        "malformed": max(0 if report is None else report.malformed, 0 if malformed is None else malformed[0]),
        "last_malformed": "" if malformed is None else malformed[1],
        "publishers": publishers,
        "qos": qos,
    }
    return _status(f"tricast: {channel}", level, "; ".join([state, *reasons]), values)


def _status(name: str, level: int, message: str, values: Mapping[str, object]) -> Any:
    entry = message_class("diagnostic_msgs/msg/KeyValue")
    return message_class("diagnostic_msgs/msg/DiagnosticStatus")(
        level=level,
        name=name,
        message=message,
        hardware_id="tricast",
        values=[entry(key=key, value=str(value)) for key, value in values.items()],
    )

"""The benchmark's figures as a table for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_SUPPORTED = "too few ticks"


def table(figures: Mapping[str, Any]) -> str:
    """Lines that say what was measured, on what, what is inside the clock, and where the time goes."""
    parts = [_head(figures), _latency(figures), _stages(figures), _open_loop(figures)]
    parts += [_backends(figures), _eager(figures), _ceilings(figures)]
    return "\n\n".join(part for part in parts if part)


def _head(f: Mapping[str, Any]) -> str:
    m = f["machine"]
    gpu = m["gpu"] or "no GPU: measured on the CPU"
    if m["gpu"] and f["device"] == "cpu":
        gpu += ", not used"
    lines = [
        f"backend {f['backend']}, {f['precision']}, batch {f['batch']}, {f['threads']} threads, "
        f"{f['ticks']} consecutive ticks of {f['load']['log']}",
        f"{m['processor']}, {m['cores']} cores, load {m['load_before'][0]:g} before; {gpu}",
        "inside the clock:",
        *(f"  {line}" for line in f["inside_clock"]),
        "outside: " + "; ".join(f["outside_clock"]),
    ]
    return "\n".join(lines)


def _latency(f: Mapping[str, Any]) -> str:
    lines = ["ms                  p50      p90      p99    p99.9      max     mean"]
    lines.append("tick            " + _row(f["latency_ms"]))
    lines.append("jitter control  " + _row(f["jitter_control_ms"]))
    lines.append("cores control   " + _row(f["cores_control_ms"]))
    memory = f["peak_memory_mb"]
    device = "" if memory["device"] is None else f", device {memory['device']:.0f} MB"
    host = "not told" if memory["host"] is None else f"{memory['host']:.0f} MB"
    lines.append(
        f"first tick {f['first_tick_ms']:.1f} ms, {f['throughput_hz']:.1f} ticks a second, "
        f"peak memory: host {host}{device}"
    )
    if None in f["latency_ms"].values():
        lines.append(f"-: {NOT_SUPPORTED} for that percentile")
    if f["not_fitting_ticks"]:
        lines.append(f"{f['not_fitting_ticks']} ticks did not fit the graph and ran in eager mode")
    return "\n".join(lines)


def _stages(f: Mapping[str, Any]) -> str:
    total = f["latency_ms"]["mean"]
    lines = ["stage            mean ms   share"]
    for name, value in sorted(f["stages_ms"].items(), key=lambda item: -item[1]):
        lines.append(f"{name:<16} {value:7.2f}  {value / total:6.1%}")
    lines.append(f"outside the network: {f['share_outside_network']:.1%}")
    return "\n".join(lines)


def _open_loop(f: Mapping[str, Any]) -> str:
    o = f["open_loop"]
    if o is None:
        return ""
    return "\n".join(
        [
            f"open loop at {o['rate_hz']:g} Hz, {o['ticks']} arrivals: {o['missed']} missed "
            f"({o['missed_in_stalls']} of them while the machine stalled), {o['queued']} waited",
            "from arrival    " + _row({name.removesuffix("_ms"): value for name, value in o.items()}),
            f"{o['stalls']} stalls of more than 5 ms, in {o['ticks_in_stalls']} ticks; "
            f"p99 without them {_figure(o['p99_ms_without_stalls']).strip()} ms",
        ]
    )


def _backends(f: Mapping[str, Any]) -> str:
    base = "eager_fp32" if "eager_fp32" in f["network_ms"] else "eager"
    lines = ["network alone, in turns on the same ticks", f"backend              p50      p90      max   over {base}"]
    for name, values in f["network_ms"].items():
        ratio = f["speedup"].get(f"{name}_over_{base}")
        figures = "".join(_figure(values[key]) for key in ("p50", "p90", "max"))
        lines.append(f"{name:<16} {figures}   {'' if ratio is None else f'{ratio:.2f} times'}".rstrip())
    if f["batched"]:
        b = f["batched"]
        lines.append(f"eager, {b['batch']} ticks at once: {b['median_ms']:.2f} ms, {b['ticks_per_s']:g} ticks a second")
    return "\n".join(lines)


def _eager(f: Mapping[str, Any]) -> str:
    lines = ["eager stage           ms    GFLOP       MB  bound by   of its ceiling"]
    for name, s in f["eager_stages"].items():
        share = "-" if s["share"] is None else f"{s['share']:.0%}"
        lines.append(
            f"{name:<16} {s['ms']:7.2f}  {s['gflop']:7.3f}  {s['megabytes']:7.1f}  {s['bound_by']:<9}  {share:>6}"
        )
    return "\n".join(lines)


def _ceilings(f: Mapping[str, Any]) -> str:
    units = {"matmul": "GFLOP/s", "convolution": "GFLOP/s", "memory": "GB/s"}
    lines = ["ceilings, measured now:"]
    for kind, unit in units.items():
        c = f["ceilings"][kind]
        lines.append(f"  {kind:<12} {c['rate']:8.1f} {unit}, by {c['by']} on {'x'.join(map(str, c['shape']))}")
    shares = {k: "not measured" if v is None else f"{v:.0%}" for k, v in f["ceiling_share"].items()}
    lines.append("shares of them: " + ", ".join(f"{kind} {share}" for kind, share in shares.items()))
    return "\n".join(lines)


def _row(values: Mapping[str, float | None]) -> str:
    return "".join(_figure(values[key]) for key in ("p50", "p90", "p99", "p99.9", "max", "mean"))


def _figure(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:9.2f}"

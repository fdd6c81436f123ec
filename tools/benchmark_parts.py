"""Parts of the pipeline beside other ways to do them, and cost against work: `python -m tricast.tools.benchmark_parts`.

    pillars  120,000 points to the BEV canvas: the network's way beside padded pillars in NumPy and in PyTorch, the
             same weights and the same canvas
    vit      the camera encoder's ViT block beside torchvision's, and timm's where it is installed, the same weights
    start    a new process: `tricast replay` of a ready log, from its start to its end with the first boxes written
    work     whole ticks with 1 to 8 cameras, 5,000 to 300,000 points in every sweep, 16 to 600 queries, in eager mode

Ways are timed in turns in one run; ratios are medians of pairs, with their quartiles. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

from tricast.configs.errors import InputError
from tricast.perception.backends.choice import thread_counts
from tricast.perception.backends.interleaved import interleaved_ms
from tricast.perception.backends.onnx_graph import cache_folder
from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.detectors.network_config import weights_path
from tricast.perception.evaluation.text_tables import TextTable
from tricast.perception.latency.closed_loop import ratios_to
from tricast.perception.latency.machine import machine
from tricast.perception.latency.padded_pillars import canvas_ways, made_points
from tricast.perception.latency.percentiles import percentiles_of
from tricast.perception.latency.vit_blocks import vit_blocks
from tricast.perception.latency.work_tables import AMOUNTS, STAGES, work_tables
from tricast.perception.layers.convolution import fold_norms
from tricast.perception.model import Network
from tricast.perception.model_weights import load_network
from tricast.tools.benchmark_load import LOADS, benchmark_log, log_ticks
from tricast.tools.user_input import mistakes_in_one_line

PARTS = ("pillars", "vit", "start", "work")
NUM_POINTS, NUM_CAMERAS = 120_000, 4
START_S = 1.0
"""Seconds of the log that the new process replays: enough for the first tracks."""
WORK_TICKS = 30


def measure_pillars(network: Network, rounds: int, num_points: int = NUM_POINTS) -> dict[str, Any]:
    """Times of the three ways, and how many times faster `scatter` is than the faster of the padded ones."""
    encoder = network.lidar_encoder
    ways = canvas_ways(encoder, made_points(num_points, encoder))
    with torch.inference_mode():
        canvases = {name: way() for name, way in ways.items()}
        apart = max(float((canvas - canvases["scatter"]).abs().max()) for canvas in canvases.values())
        if apart > 1e-4:
            raise RuntimeError(f"canvases differ by {apart:.3g}: there is nothing to compare")
        samples_ms = interleaved_ms(ways, rounds)
    return {"points": num_points, "largest_difference": apart, **_beside(samples_ms, "scatter")}


def measure_vit(network: Network, rounds: int) -> dict[str, Any]:
    """Times of the blocks on the tokens of four cameras, and how many times faster ours is than the fastest other."""
    config, batch = network.config.camera, network.config.batch
    shape = (NUM_CAMERAS, batch.token_size[0] * batch.token_size[1], config.token_width)
    tokens = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        samples_ms = interleaved_ms({n: lambda b=b: b(tokens) for n, b in vit_blocks(config).items()}, rounds)
    return {"shape": list(shape), "heads": config.heads, **_beside(samples_ms, "tricast")}


def measure_start(log: Path, weights: str | None, rounds: int) -> dict[str, Any]:
    """Seconds of whole processes that replay the beginning of a log; the first box comes before the end."""
    seconds: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tricast.tools.cli", "replay", str(log), "--out", folder, "--no-pictures"]
            command += ["--duration", f"{START_S:g}", *(["--weights", weights] if weights else [])]
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            seconds.append(time.perf_counter() - begin)
            if done.returncode:
                raise InputError(
                    where="the replay",
                    got=done.stderr.strip()[-300:] or f"exit code {done.returncode}",
                    expected="a replay that ends well",
                    remedy="try it alone: " + " ".join(command[2:]),
                )
            summary = json.loads((Path(folder) / "summary.json").read_text())
    found = summary["objects_per_tick"] > 0
    return {"log": log.name, "seconds": [round(s, 2) for s in seconds], "boxes": found, "ticks": summary["ticks"]}


def measure_work(
    network: Network, config: PipelineConfig, log: Path, rounds: int, amounts: Mapping[str, Sequence[int]] = AMOUNTS
) -> dict[str, Any]:
    """Whole ticks against how much there is to do."""
    frames = list(log_ticks(log, config, WORK_TICKS + 5))[5:]  # at the very beginning older sweeps are lacking
    first = frames[0] if frames else None
    lacking = [] if first and first.cameras else ["a camera"]
    lacking += [] if first and first.lidars else ["a LiDAR"]
    if lacking or network.config.decoder.starts == "learned":
        raise InputError(
            where="the part 'work'",
            got=f"a log without {' and '.join(lacking)}"
            if lacking
            else "weights whose queries begin at learned places",
            expected="ticks with a camera and a LiDAR, and any number of queries",
            remedy="choose other parts with --only, or another log or weights",
        )
    # NumPy with one thread, as in every command of tricast; the padded pillars had all of them.
    with ThreadpoolController().select(internal_api="openblas").limit(limits=1):
        measured = work_tables(network, config, frames, rounds=rounds, amounts=amounts)
    tables: dict[str, Any] = {}
    for table in measured:
        slope, at_none = table.line
        tables[table.kind] = {
            "rows": [{"amount": row.amount, **{s: round(row.ms[s], 3) for s in STAGES}} for row in table.rows],
            "ms_for_each": slope,
            "ms_for_none": round(at_none, 3),
            "off_the_line": round(table.off_the_line, 4),
            "grows": table.grows,
        }
    return {"log": log.name, "tables": tables}


def _beside(samples_ms: dict[str, list[float]], ours: str) -> dict[str, Any]:
    """Percentiles, how many times faster ours is than each other way, and than the fastest of them."""
    times = {other: ratios_to(other, samples_ms)[ours] for other in samples_ms if other != ours}
    least = min((values["median"] for values in times.values()), default=None)
    figures = {name: percentiles_of(values) for name, values in samples_ms.items()}
    return {"rounds": len(samples_ms[ours]), "ms": figures, "times_faster_than": times, "times_faster_at_least": least}


def tables(figures: Mapping[str, Any], *, markdown: bool) -> str:
    """All that was measured, for a person or for a document."""
    m = figures["machine"]
    parts = [f"{m['processor']}, {m['cores']} cores, {figures['threads']} threads, load {m['load_before'][0]:g} before"]

    def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = TextTable(header=header, rows=rows)
        parts.extend([title, table.markdown() if markdown else table.aligned()])

    for name, of in (("pillars", "points to the BEV canvas"), ("vit", "ViT block")):
        if (f := figures.get(name)) is not None:
            size = f"{f['points']:,}" if name == "pillars" else "x".join(map(str, f["shape"]))
            rows = [
                [
                    way,
                    f"{ms['p50']:.2f}",
                    f"{f['times_faster_than'][way]['median']:.2f}" if way in f["times_faster_than"] else "",
                ]
                for way, ms in f["ms"].items()
                if ms["p50"] is not None
            ]
            show(f"{of}, {size}, {f['rounds']} rounds:", ["way", "ms, median", "times slower than ours"], rows)
    if (f := figures.get("start")) is not None:
        boxes = "with boxes" if f["boxes"] else "without a box"
        parts.append(f"new process, {f['ticks']} ticks of {f['log']} {boxes}, s: {', '.join(map(str, f['seconds']))}")
    for kind, f in figures.get("work", {}).get("tables", {}).items():
        rows = [[f"{row['amount']:,}", *(f"{row[stage]:.1f}" for stage in STAGES)] for row in f["rows"]]
        line = f"{f['ms_for_none']:.1f} ms and {f['ms_for_each']:.3g} ms for each"
        show(f"{kind}: {line}; {f['grows']}", [kind, *(f"{stage}, ms" for stage in STAGES)], rows)
    return "\n\n".join(parts)


@mistakes_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, nargs="?", help="any log (default: the load of tricast benchmark)")
    parser.add_argument("--only", default=",".join(PARTS), metavar="P,P", help="parts, separated by commas")
    parser.add_argument("--weights", metavar="W", help="weights of the network in place of the configured ones")
    parser.add_argument("--threads", type=int, default=thread_counts()[-1], help="of PyTorch (default: all cores)")
    parser.add_argument("--rounds", type=int, default=100, help="of every way; a third of it of every amount of work")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print one JSON object")
    shown.add_argument("--markdown", action="store_true", help="print tables for a document")
    args = parser.parse_args(arguments)
    figures = _measured(args)
    print(json.dumps(figures) if args.json else tables(figures, markdown=args.markdown))
    return 0


def _measured(args: argparse.Namespace) -> dict[str, Any]:
    """All parts that were asked for.

    Raises:
        InputError: A part that there is not, or a number out of range.

    """
    only = tuple(name.strip() for name in args.only.split(","))
    for name, value, expected, right in (
        ("--only", args.only, ", ".join(PARTS), set(only) <= set(PARTS)),
        ("--threads", args.threads, "1 to 256", 1 <= args.threads <= 256),
        ("--rounds", args.rounds, "11 or more, which a median wants", args.rounds >= 11),
    ):
        if not right:
            raise InputError(where=name, got=str(value), expected=expected, remedy="correct it")
    figures: dict[str, Any] = {"machine": machine(), "threads": args.threads}
    config = chosen_config(detector="network", weights=args.weights)
    config = config.with_network(threads=args.threads)
    network = load_network(weights_path(config.network.weights))
    fold_norms(network)
    torch.set_num_threads(args.threads)
    few = max(11, args.rounds // 3)
    if "pillars" in only:
        figures["pillars"] = measure_pillars(network, args.rounds)
    if "vit" in only:
        figures["vit"] = measure_vit(network, args.rounds)
    if {"start", "work"} & set(only):
        log = args.log or benchmark_log(cache_folder() / "loads", LOADS["standard"])
        if "start" in only:
            figures["start"] = measure_start(log, args.weights, 3)
        if "work" in only:
            figures["work"] = measure_work(network, config, log, few)
    return figures


if __name__ == "__main__":
    sys.exit(main())

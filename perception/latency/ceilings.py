"""What this machine can do at best: products of matrices, convolutions and moving memory, measured in the same run.

The best of several libraries over several shapes counts: a weak ceiling would flatter whoever is measured against it.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from tricast.perception.backends.placement import Placement


@dataclass(frozen=True, kw_only=True)
class CeilingTrials:
    """What is tried.

    Args:
        matrices: Rows, inner size and columns.
        convolutions: Images, channels in and out, height, width and kernel.
        copied_bytes: Far more than caches hold.
        seconds_each: How long each library tries each shape.

    """

    matrices: tuple[tuple[int, int, int], ...] = (
        (512, 512, 512),
        (1024, 1024, 1024),
        (2048, 2048, 2048),
        (4096, 256, 256),
        (1024, 4096, 1024),
    )
    convolutions: tuple[tuple[int, int, int, int, int], ...] = (
        (1, 64, 64, 64, 3),
        (1, 64, 128, 128, 3),
        (4, 64, 48, 80, 3),
        (1, 256, 64, 64, 3),
        (1, 256, 64, 64, 1),
    )
    copied_bytes: int = 1 << 28
    seconds_each: float = 0.4


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The best of one kind: billions of operations or bytes a second, by which library, on which shape."""

    rate: float
    by: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """Of one machine and number of threads; GFLOP/s, GFLOP/s and GB/s (what is read and what is written)."""

    matmul: Ceiling
    convolution: Ceiling
    memory: Ceiling


def measure_ceilings(threads: int, trials: CeilingTrials, placement: Placement) -> Ceilings:
    """Measure all three; the fastest of repeated runs counts.

    Args:
        threads: Used by every library.
        trials: What is tried.
        placement: On a GPU torch alone is tried, in that precision; on a CPU ceilings are those of single precision.

    """
    if placement.device == "cuda":
        return _of_gpu(trials, torch.float32 if placement.precision == "fp32" else torch.float16)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads), torch.inference_mode():
            return Ceilings(
                matmul=_best(_matmul_trials(trials, threads), trials.seconds_each),
                convolution=_best(_convolution_trials(trials, threads), trials.seconds_each),
                memory=_best(_memory_trials(trials.copied_bytes), trials.seconds_each),
            )
    finally:
        torch.set_num_threads(before)


def _of_gpu(trials: CeilingTrials, dtype: torch.dtype) -> Ceilings:
    """Larger shapes than on a CPU: a GPU is not full before."""

    def made(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device="cuda", dtype=dtype)

    def finished(run: Callable[[], Any]) -> Callable[[], None]:
        def run_and_wait() -> None:
            run()
            torch.cuda.synchronize()

        return run_and_wait

    def products() -> Iterator[_Trial]:
        for size in (2048, 4096, 8192):
            left, right = made(size, size), made(size, size)
            yield "torch", (size, size, size), 2e-9 * size**3, finished(lambda a=left, b=right: a @ b)

    def convolutions() -> Iterator[_Trial]:
        for count, channels, size, kernel in ((8, 256, 128, 3), (8, 512, 64, 3), (8, 1024, 64, 1)):
            images = made(count, channels, size, size).contiguous(memory_format=torch.channels_last)
            filters = made(channels, channels, kernel, kernel).contiguous(memory_format=torch.channels_last)
            billions = 2e-9 * images.numel() * channels * kernel**2
            run = finished(lambda p=images, f=filters, k=kernel: torch.nn.functional.conv2d(p, f, padding=k // 2))
            yield "torch", (count, channels, size, size, kernel), billions, run

    def copies() -> Iterator[_Trial]:
        source = torch.ones(1 << 28, dtype=torch.float32, device="cuda")
        target = torch.empty_like(source)
        yield "torch", (source.numel() * 4,), 8e-9 * source.numel(), finished(lambda: target.copy_(source))

    with torch.inference_mode():
        return Ceilings(
            matmul=_best(products(), trials.seconds_each),
            convolution=_best(convolutions(), trials.seconds_each),
            memory=_best(copies(), trials.seconds_each),
        )


_Trial = tuple[str, tuple[int, ...], float, Callable[[], Any]]
"""Library, shape, billions of operations or bytes, and what to run."""


def _best(trials: Iterator[_Trial], seconds_each: float) -> Ceiling:
    best = None
    for by, shape, billions, run in trials:
        run()
        fastest_s, end_s = float("inf"), time.perf_counter() + seconds_each
        while time.perf_counter() < end_s or fastest_s == float("inf"):
            begin_s = time.perf_counter()
            run()
            fastest_s = min(fastest_s, time.perf_counter() - begin_s)
        if best is None or billions / fastest_s > best.rate:
            best = Ceiling(rate=round(billions / fastest_s, 2), by=by, shape=shape)
    assert best is not None
    return best


def _matmul_trials(tried: CeilingTrials, threads: int) -> Iterator[_Trial]:
    for rows, inner, columns in tried.matrices:
        rng = np.random.default_rng(0)
        left, right = (rng.standard_normal(s, dtype=np.float32) for s in ((rows, inner), (inner, columns)))
        out = np.empty((rows, columns), np.float32)
        billions, shape = 2e-9 * rows * inner * columns, (rows, inner, columns)
        ours, other, ours_out = (torch.from_numpy(array) for array in (left, right, out))
        yield "numpy", shape, billions, lambda a=left, b=right, c=out: np.matmul(a, b, out=c)
        yield "torch", shape, billions, lambda a=ours, b=other, c=ours_out: torch.mm(a, b, out=c)
        yield from _onnx_trial("MatMul", left, right, shape, billions, threads)


def _convolution_trials(tried: CeilingTrials, threads: int) -> Iterator[_Trial]:
    for count, channels, height, width, kernel in tried.convolutions:
        rng = np.random.default_rng(0)
        images = rng.standard_normal((count, channels, height, width), dtype=np.float32)
        weights = rng.standard_normal((channels, channels, kernel, kernel), dtype=np.float32)
        billions = 2e-9 * images.size * channels * kernel**2
        shape = (count, channels, height, width, kernel)
        for layout in (torch.contiguous_format, torch.channels_last):
            pixels, filters = (torch.from_numpy(a).contiguous(memory_format=layout) for a in (images, weights))
            yield (
                "torch",
                shape,
                billions,
                lambda p=pixels, f=filters, k=kernel: torch.nn.functional.conv2d(p, f, padding=k // 2),
            )
        yield from _onnx_trial("Conv", images, weights, shape, billions, threads, pads=[kernel // 2] * 4)


def _memory_trials(copied_bytes: int) -> Iterator[_Trial]:
    source = np.ones(copied_bytes // 4, np.float32)
    target = np.empty_like(source)
    billions = 2e-9 * copied_bytes
    yield "numpy", (copied_bytes,), billions, lambda: np.copyto(target, source)
    ours, other = torch.from_numpy(source), torch.from_numpy(target)
    yield "torch", (copied_bytes,), billions, lambda: other.copy_(ours)


def _onnx_trial(
    operation: str,
    left: np.ndarray,
    right: np.ndarray,
    shape: tuple[int, ...],
    billions: float,
    threads: int,
    **attributes: Any,
) -> Iterator[_Trial]:
    """The same in ONNX Runtime, the second operand fixed as weights are; nothing where it is not installed."""
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxruntime") is None:
        return
    import onnxruntime  # pyright: ignore[reportMissingImports]
    from onnx import TensorProto, helper, numpy_helper  # pyright: ignore[reportMissingImports]

    def described(name: str, size: tuple[int, ...] | None) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, size)

    graph = helper.make_graph(
        [helper.make_node(operation, ["left", "right"], ["out"], **attributes)],
        "ceiling",
        [described("left", left.shape)],
        [described("out", None)],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    yield "onnxruntime", shape, billions, lambda: session.run(["out"], {"left": left})

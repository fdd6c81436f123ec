"""Every way to run the network gives what the network gives, whatever sensors are there."""

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tests.perception.backends.networks import fixed_backend, random_network, subset_batches
from tricast.configs.errors import InputError
from tricast.perception.backends.fixed_network import FixedNetwork, outputs_of
from tricast.perception.backends.fixed_shapes import FixedInputs, FixedShapes
from tricast.perception.backends.graph_export import export_graph, write_proven
from tricast.perception.backends.interface import EagerBackend, GraphBackend
from tricast.perception.backends.interleaved import run_interleaved
from tricast.perception.backends.names import PrecisionName
from tricast.perception.backends.opening import onnx_file, open_backend
from tricast.perception.backends.parity import HALF, SINGLE, check_parity
from tricast.perception.backends.placement import Placement
from tricast.perception.collation import collate
from tricast.perception.model import ModelConfig, Network
from tricast.perception.precision import hold_half
from tricast.perception.query_memory import QueryMemory
from tricast.perception.tick_sample import TickSample

TENSORRT_OPERATORS = """
    Abs Acos Add And ArgMax Atan BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv Cos CumSum
    DepthToSpace Div Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual
    Identity IsNaN LayerNormalization Less LessOrEqual Log MatMul Max MaxPool Min Mod Mul Neg Not Or Pad Pow Range
    Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize ScatterElements ScatterND Shape
    Sigmoid Sin Slice Softmax Split Sqrt Squeeze Sub Tile TopK Transpose Unsqueeze Where
    """
"""Of those that TensorRT 10.15 takes (onnx-tensorrt, docs/operators.md)."""


def lacking_in_tensorrt(path: Path) -> list[str]:
    """What of a graph TensorRT does not take: operators, reductions of ScatterND, and scattering more than there is."""
    import onnx  # pyright: ignore[reportMissingImports]

    graph = onnx.shape_inference.infer_shapes(onnx.load(str(path))).graph
    sizes = {v.name: math.prod(d.dim_value for d in v.type.tensor_type.shape.dim) for v in graph.value_info}
    lacking = [f"{node.op_type}" for node in graph.node if node.op_type not in TENSORRT_OPERATORS.split()]
    for node in graph.node:
        reductions = [a.s for a in node.attribute if a.name == "reduction" and a.s != b"none"]
        if node.op_type == "ScatterND" and reductions:
            lacking.append("ScatterND with a reduction")
        data, indices = (sizes.get(name, 0) for name in (*node.input, "", "")[:2])
        if node.op_type == "ScatterElements" and reductions and indices > data > 0:
            lacking.append("ScatterElements that scatters more than its target holds")
    return lacking


class _NothingFromTheHost(TorchFunctionMode):
    """Refuses what a CUDA graph cannot record: tensors made of values on the host, and values read back."""

    refused = (
        torch.tensor,
        torch.as_tensor,
        torch.from_numpy,
        torch.nonzero,
        torch.Tensor.new_tensor,
        torch.Tensor.nonzero,
        torch.Tensor.item,
        torch.Tensor.tolist,
        torch.Tensor.numpy,
        torch.Tensor.cpu,
    )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in self.refused, func
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(part, list) for part in index), index
            assert not any(isinstance(part, Tensor) and part.dtype == torch.bool for part in index), index
        return func(*args, **(kwargs or {}))


def test_fixed_slots_and_masks_give_what_missing_rows_give(network: Network, ticks: list[TickSample]) -> None:
    batches = subset_batches(network, ticks)
    backend = fixed_backend(network, FixedShapes(cameras=6, lidar_rows=600, radar_rows=128))
    assert check_parity(backend, network, batches) < 1e-3
    assert backend.not_fitting == 0


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"fusion": "early"},
        {"fusion": "late"},
        {"fusion": "co_attention"},
        {"grid_fusion": "concatenation"},
        {"decoder": {"starts": "learned"}},
        {"fusion": "late", "memory": {"objects": 0}},
    ],
    ids=str,
)
def test_every_way_of_fusion_has_fixed_shapes(
    small_model: ModelConfig, ticks: list[TickSample], change: dict[str, Any]
) -> None:
    values = small_model.model_dump()
    nested = {key: values[key] | value for key, value in change.items() if isinstance(value, dict)}
    network = random_network(ModelConfig.model_validate({**values, **change, **nested}), seed=0)
    shapes = FixedShapes(cameras=6, lidar_rows=600, radar_rows=128)
    backend = fixed_backend(network, shapes)
    assert check_parity(backend, network, subset_batches(network, ticks)) < 1e-3
    assert backend.not_fitting == 0
    with torch.inference_mode(), _NothingFromTheHost():
        FixedNetwork(network)(*FixedInputs.blank(shapes, network.config).tensors())


def test_an_absent_lidar_needs_its_mask(network: Network, ticks: list[TickSample]) -> None:
    """What `FixedNetwork` masks is no luxury: without the mask an absent LiDAR shows."""
    batch = collate([dataclasses.replace(ticks[0], lidar=None)], network.config.batch)
    shapes = FixedShapes.around([batch])
    module = FixedNetwork(network)
    module.network.lidar_encoder = module.network.lidar_encoder.encoder  # type: ignore[assignment,union-attr]
    backend = GraphBackend("compile", network, shapes, lambda inputs: module(*inputs.tensors()))
    with pytest.raises(InputError, match="parity of compile, tick 0: got heatmap off by"):
        check_parity(backend, network, [batch])


def test_the_shapes_of_a_graph_hold_what_was_seen_with_room_to_spare(network: Network, ticks: list[TickSample]) -> None:
    batches = subset_batches(network, ticks)
    shapes = FixedShapes.around(batches)
    assert (shapes.cameras, shapes.lidar_rows, shapes.radar_rows) == (4, 4096, 512)
    assert all(shapes.hold(batch) for batch in batches)
    assert not shapes.hold(collate(ticks[:2], network.config.batch))


def test_a_tick_that_does_not_fit_is_run_by_the_network_and_counted(network: Network, ticks: list[TickSample]) -> None:
    batch = collate(ticks[:1], network.config.batch)
    backend = fixed_backend(network, FixedShapes(cameras=4, lidar_rows=100, radar_rows=128))
    outputs, _ = backend(batch, QueryMemory())
    with torch.no_grad():
        expected, _ = network(batch, QueryMemory())
    assert torch.equal(outputs.heatmap, expected.heatmap)
    assert backend.not_fitting == 1


def test_the_example_of_the_shapes_is_finite_and_shaped_as_ticks_are(network: Network, ticks: list[TickSample]) -> None:
    shapes = FixedShapes(cameras=4, lidar_rows=600, radar_rows=128)
    blank = FixedInputs.blank(shapes, network.config)
    batch = collate(ticks[:1], network.config.batch)
    with torch.no_grad():
        _, memory = network(batch, QueryMemory())
    later = dataclasses.replace(batch, timestamps_ns=batch.timestamps_ns + 500_000_000)
    real = FixedInputs.of(later, shapes, network.config.batch, network.recalled(later, memory))
    assert real.recalled is not None and real.recalled.valid[:, 0].all()
    for mine, other in zip(blank.tensors(), real.tensors(), strict=True):
        assert (mine.shape, mine.dtype, mine.stride()) == (other.shape, other.dtype, other.stride())
    with torch.no_grad():
        assert outputs_of(FixedNetwork(network)(*blank.tensors()))[0].heatmap.isfinite().all()


def test_a_graph_that_differs_leaves_no_file_behind(
    network: Network, small_model: ModelConfig, ticks: list[TickSample], tmp_path: Path
) -> None:
    other, batches, path = random_network(small_model, seed=1), subset_batches(network, ticks), tmp_path / "graph.onnx"
    path.write_text("an older graph")
    with pytest.raises(InputError, match="parity"):
        write_proven(path, lambda p: p.touch(), lambda _: EagerBackend(other), network, batches)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("graph.onnx", "an older graph")]
    assert write_proven(path, lambda p: p.touch(), lambda _: EagerBackend(network), network, batches) == 0
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("graph.onnx", "")]


def test_half_the_digits_find_nearly_the_same(network: Network, ticks: list[TickSample]) -> None:
    batches, place = subset_batches(network, ticks), Placement(precision="bf16")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    half = EagerBackend(network, place)
    assert check_parity(half, network, batches, HALF) > 1e-4, "nothing was rounded"
    with pytest.raises(InputError, match="parity of eager"):
        check_parity(half, network, batches)
    outputs, _ = half(batches[0], QueryMemory())
    assert outputs.layers[-1].centers_m.dtype == torch.float32
    # A copy computes with its own values.
    placed = place.placed(network)
    copied = copy.deepcopy(placed)
    with torch.no_grad():
        for value in placed.parameters():
            value.zero_()
        heat = copied(batches[0], QueryMemory())[0].heatmap
    assert torch.equal(heat, outputs.heatmap)
    # The network itself stays as it is.
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert check_parity(EagerBackend(network), network, batches) == 0


def test_weights_held_in_half_the_digits_give_the_same_bits(network: Network, ticks: list[TickSample]) -> None:
    batches, placed = subset_batches(network, ticks), Placement(precision="bf16").placed(network)
    held = copy.deepcopy(placed)
    hold_half(held, torch.bfloat16)
    changed = [own.dtype != other.dtype for own, other in zip(placed.parameters(), held.parameters(), strict=True)]
    assert sum(changed) > len(changed) / 3
    for batch in batches:
        expected, got = placed(batch, QueryMemory())[0], held(batch, QueryMemory())[0]
        assert torch.equal(got.heatmap, expected.heatmap)
        assert torch.equal(got.layers[-1].centers_m, expected.layers[-1].centers_m)
        assert torch.equal(got.layers[-1].class_logits, expected.layers[-1].class_logits)


@pytest.mark.parametrize(
    ("backend", "placement", "said"),
    [
        ("eager", Placement(precision="fp16"), "fp16 on a CPU"),
        ("openvino", Placement(precision="fp16"), "fp16 on a CPU"),
        ("onnxruntime", Placement(precision="bf16"), "bf16 with the backend 'onnxruntime'"),
        pytest.param(
            "eager",
            Placement(device="cuda"),
            "on 'cuda': got a machine without a CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        pytest.param(
            "onnxruntime",
            Placement(device="cuda"),
            "the backend 'onnxruntime' on a GPU",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
        ),
    ],
)
def test_what_a_backend_cannot_do_is_refused_before_any_work(backend: str, placement: Placement, said: str) -> None:
    with pytest.raises(InputError, match=said):
        placement.checked(backend)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("name", ["eager", "compile", "cuda_graphs"])
def test_a_gpu_gives_what_the_cpu_gives(
    network: Network, ticks: list[TickSample], name: str, precision: PrecisionName
) -> None:
    placement = Placement(device="cuda", precision=precision)
    backend = open_backend(name, network, subset_batches(network, ticks), threads=1, placement=placement)
    # What a recording reads must not have been given back: whoever comes next would write over it.
    held = [torch.full((size,), math.nan, device="cuda") for size in (1 << 8, 1 << 12, 1 << 16) for _ in range(500)]
    check_parity(backend, network, subset_batches(network, ticks), SINGLE if precision == "fp32" else HALF)
    del held
    outputs, memory = backend(subset_batches(network, ticks)[0], QueryMemory())
    assert outputs.heatmap.device.type == "cpu"
    assert len(memory.ticks) == 1


@pytest.mark.parametrize("name", ["cuda_graphs", "tensorrt"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is lacking where it is lacking")
def test_a_backend_that_the_machine_lacks_says_what_it_needs(
    network: Network, ticks: list[TickSample], name: str
) -> None:
    with pytest.raises(InputError, match=f"backend '{name}': got a machine without"):
        open_backend(name, network, subset_batches(network, ticks), threads=1)


def test_a_backend_that_does_not_exist_is_refused(network: Network, ticks: list[TickSample]) -> None:
    with pytest.raises(InputError, match="eager, compile, onnxruntime"):
        open_backend("onnx", network, subset_batches(network, ticks), threads=1)


def test_backends_take_turns_on_the_same_ticks(network: Network, ticks: list[TickSample]) -> None:
    samples = run_interleaved([EagerBackend(network)], subset_batches(network, ticks), rounds=3)
    assert {name: len(values) for name, values in samples.items()} == {"eager": 3}
    assert min(samples["eager"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compile", "onnxruntime", "openvino"])
@pytest.mark.filterwarnings("ignore")
def test_every_backend_gives_what_the_network_gives(
    network: Network, ticks: list[TickSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TRICAST_CACHE", str(tmp_path))
    if name != "compile":
        pytest.importorskip(name)
    batches = subset_batches(network, ticks)
    backend = open_backend(name, network, batches, threads=1)
    assert isinstance(backend, GraphBackend)
    assert check_parity(backend, network, batches) < 2e-3
    assert backend.not_fitting == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_openvino_rounds_what_eager_rounds(
    network: Network, ticks: list[TickSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    import onnx  # pyright: ignore[reportMissingImports]

    monkeypatch.setenv("TRICAST_CACHE", str(tmp_path))
    batches, place = subset_batches(network, ticks), Placement(precision="bf16")
    backend = open_backend("openvino", network, batches, threads=1, placement=place)
    assert isinstance(backend, GraphBackend)
    with pytest.raises(InputError, match="parity of openvino"):
        check_parity(backend, network, batches)
    half, exact = EagerBackend(network, place), EagerBackend(network)
    for batch in batches:
        heatmaps = [run(batch, QueryMemory())[0].heatmap for run in (exact, half, backend)]
        rounded, by_openvino = (float((heatmap - heatmaps[0]).abs().mean()) for heatmap in heatmaps[1:])
        assert 0 < by_openvino < 2 * rounded
    # The graph itself says what is in 16 bits: places and peaks are not.
    path = onnx_file(network, backend.shapes, "bf16")
    graph = onnx.load(str(path)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    in_half = {node.op_type for node in graph.node if types.get(node.output[0]) == onnx.TensorProto.BFLOAT16}
    assert {"Conv", "MatMul"} <= in_half
    assert not in_half & {"Sin", "Cos", "Acos", "TopK", "ArgMax", "LayerNormalization", "CumSum"}
    assert path != onnx_file(network, backend.shapes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_exported_graph_is_whole_and_agrees(
    network: Network, ticks: list[TickSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("TRICAST_CACHE", str(tmp_path / "cache"))
    batches = subset_batches(network, ticks)
    shapes = FixedShapes.around(batches)
    apart = export_graph(network, "openvino", tmp_path / "small.xml", shapes, batches)
    assert apart < 2e-3
    # In 16 bits it agrees as far as these go, and no further.
    assert export_graph(network, "openvino", tmp_path / "half.xml", shapes, batches, "bf16") > 10 * apart
    assert sorted(p.name for p in tmp_path.iterdir()) == ["half.bin", "half.xml", "small.bin", "small.xml"]
    first = onnx_file(network, shapes)
    made = first.stat().st_mtime_ns
    assert onnx_file(network, shapes).stat().st_mtime_ns == made
    assert lacking_in_tensorrt(onnx_file(network, shapes, scatter_rows=False)) == []
    assert lacking_in_tensorrt(first) == ["ScatterND with a reduction"] * 2  # LiDAR and radar

"""The network behind the interface of every detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tricast.configs.errors import InputError
from tricast.perception.backends.choice import auto_backend, thread_counts
from tricast.perception.backends.interface import Backend, EagerBackend
from tricast.perception.backends.late import LateBackend
from tricast.perception.backends.names import AUTO, BACKENDS
from tricast.perception.backends.opening import check_installed, open_backend
from tricast.perception.backends.placement import Placement
from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.decoding import decode
from tricast.perception.detectors.network_config import NetworkConfig, weights_path
from tricast.perception.device_rows import DeviceRows
from tricast.perception.doppler import with_doppler
from tricast.perception.kept_memory import keep_freed_memory
from tricast.perception.layers.convolution import fold_norms
from tricast.perception.model import Network
from tricast.perception.model_weights import load_network, read_score_scales
from tricast.perception.networks.late import no_attention
from tricast.perception.outputs import Detections, SensorShares
from tricast.perception.picture_decoding import PictureDecoder
from tricast.perception.query_memory import QueryMemory
from tricast.perception.sensor_share import explained
from tricast.perception.tick_sample import sample_of
from tricast.perception.torch_threads import torch_threads
from tricast.perception.undecoded_pictures import UndecodedPictures
from tricast.sensors.calibration import MODALITIES
from tricast.sensors.synced_frame import SyncedFrame


class NetworkDetector:
    """Detects and forecasts with a trained network, on whatever sensors a tick has.

    Args:
        config: Weights, threads, backend and decoding. The process keeps what it frees (`keep_freed_memory`).
        network: A network in evaluation mode to use, and to change, in place of the configured weights; scores are then
            calibrated by the settings alone.
        backend: What runs that network, in place of the configured one.
        pictures: What decodes pictures, in place of as many threads as are configured.
        live: Whether ticks come at their own pace: a backend is then opened beside them, and `auto` may choose it.

    Raises:
        InputError: There are no weights, they do not fit, the machine lacks what the backend needs, or sensor shares
            are asked of a decoder without layers.

    """

    name = "network"
    modalities = MODALITIES

    def __init__(
        self,
        config: NetworkConfig,
        *,
        network: Network | None = None,
        backend: Backend | None = None,
        pictures: PictureDecoder | None = None,
        live: bool = False,
    ) -> None:
        self.config = config
        self.network = network or load_network(weights_path(config.weights))
        self.decoding = config.decoding
        if network is None and config.decoding.calibration is None:
            scales = read_score_scales(weights_path(config.weights))
            self.decoding = config.decoding.model_copy(update={"calibration": scales})
        fold_norms(self.network)
        self.backend = backend or _configured(config, self.network, live)
        if config.sensor_share and not self.network.config.decoder.layers:
            raise InputError(
                where="network.sensor_share",
                got="a network whose decoder has no layers, and so no attention",
                expected="at least one layer",
                remedy="leave sensor_share out, or give other weights",
            )
        if config.sensor_share and self.network.config.fusion == "late":
            raise no_attention("network.sensor_share")
        if config.sensor_share and self.backend.name != "eager":
            raise InputError(
                where="network.sensor_share",
                got=f"the backend {self.backend.name!r}, which does not give attention",
                expected="the backend 'eager'",
                remedy="leave one of sensor_share and backend out",
            )
        if config.sensor_share and (config.device, config.precision) != ("cpu", "fp32"):
            raise InputError(
                where="network.sensor_share",
                got=f"device {config.device!r} and precision {config.precision!r}",
                expected="'cpu' and 'fp32'",
                remedy="leave sensor_share out, or the others",
            )
        keep_freed_memory()
        self._memory = QueryMemory()
        runs = "eager" if config.backend == AUTO else config.backend
        self._device = Placement(device=config.device).checked(runs).device
        self._rows = None if self._device == "cpu" else DeviceRows(self._device)
        self._pictures = PictureDecoder(config.threads) if pictures is None else pictures

    @property
    def undecoded(self) -> UndecodedPictures:
        """See `Detector.undecoded`."""
        return self._pictures.undecoded

    @property
    def ran_by(self) -> dict[str, Any]:
        """For the record: backend and threads; of a backend that opens late also what runs now and what ran before."""
        told: dict[str, Any] = {"backend": self.backend.name, "threads": self.config.threads}
        if isinstance(self.backend, LateBackend):
            told |= {"running": self.backend.running, "eager_ticks": self.backend.eager_ticks}
            told["threads"] = self.backend.threads or self.config.threads
            if self.backend.trouble is not None:
                told["trouble"] = str(self.backend.trouble)
        return told

    def prepare(self, frame: SyncedFrame) -> SensorBatch:
        """See `Detector.prepare`: clouds moved to the tick while pictures are decoded, tensors made.

        Where the network runs on a GPU, LiDAR rows and look-up tables are made there, and stay.
        """
        with torch_threads(1):
            return self._prepared(frame)

    def _prepared(self, frame: SyncedFrame) -> SensorBatch:
        model = self.network.config
        images = [image for _, image in sorted(frame.cameras.items())]
        awaited = self._pictures.begun(images, model.batch.image_size_px)
        lidar = None
        if self._rows is not None and frame.lidars:
            lidar = [self._rows.rows(frame, model.sample, model.batch)]
        sample = sample_of(frame, model.sample, with_lidar=self._rows is None)
        return collate([sample], model.batch, awaited=[awaited], lidar=lidar, device=self._device)

    def detect(self, frame: SyncedFrame, prepared: SensorBatch | None = None) -> Detections:
        """See `Detector.detect`; the detections carry futures."""
        batch = self.prepare(frame) if prepared is None else prepared
        if not batch.present.any():
            nothing = Detections.empty(frame.timestamp_ns)
            return replace(nothing, sensor_shares=SensorShares.empty()) if self.config.sensor_share else nothing
        radar = batch.radar_points.numpy()
        if self.config.sensor_share:
            channels = sorted(frame.cameras)
            # A picture that does not decode leaves it open which camera a slot is.
            known = channels if len(channels) == batch.camera_mask.shape[1] else ()
            with torch_threads(self.config.threads):
                detections, self._memory = explained(
                    self.network, batch, self._memory, frame.timestamp_ns, self.decoding, cameras=known
                )
            return with_doppler(detections, radar, self.config.doppler)
        with torch_threads(1):
            outputs, self._memory = self.backend(batch, self._memory)
            detections = decode(outputs, frame.timestamp_ns, self.decoding, present=batch.present[0].tolist())
        return with_doppler(detections, radar, self.config.doppler)

    def reset(self) -> None:
        """See `Detector.reset`."""
        self._memory = QueryMemory()


def _configured(config: NetworkConfig, network: Network, live: bool) -> Backend:
    """The backend of a configuration.

    Raises:
        InputError: The machine lacks what it needs, or must not choose.

    """
    placement = Placement(device=config.device, precision=config.precision)
    if config.backend == "eager":
        return EagerBackend(network, placement.checked("eager"), threads=config.threads)
    if config.backend != AUTO:
        check_installed(config.backend)
        placement = placement.checked(config.backend)
    elif not live:
        raise InputError(
            where="network.backend",
            got=f"{AUTO!r} where results must not depend on the machine",
            expected=", ".join(BACKENDS),
            remedy="name one; 'auto' is for 'tricast live' and 'tricast benchmark'",
        )

    def opened(batches: Sequence[SensorBatch]) -> tuple[Backend, int]:
        if config.backend == AUTO:
            return auto_backend(network, batches, threads=thread_counts(), placement=placement)
        backend = open_backend(config.backend, network, batches, threads=config.threads, placement=placement)
        return backend, config.threads

    return LateBackend(config.backend, network, opened, beside=live, threads=config.threads)

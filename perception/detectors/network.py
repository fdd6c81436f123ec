"""The network behind the interface of every detector."""

from __future__ import annotations

import torch

from tricast.perception.backends.interface import Backend, EagerBackend
from tricast.perception.batch import SensorBatch, collate
from tricast.perception.decoding import decode
from tricast.perception.detectors.network_config import NetworkConfig, weights_path
from tricast.perception.layers.convolution import fold_norms
from tricast.perception.model import Network
from tricast.perception.model_weights import load_network
from tricast.perception.outputs import Detections
from tricast.perception.query_outputs import QueryMemory
from tricast.perception.tick_sample import sample_of
from tricast.sensors.calibration import MODALITIES
from tricast.sensors.synced_frame import SyncedFrame


class NetworkDetector:
    """Detects and forecasts with a trained network, on whatever sensors a tick has.

    Args:
        config: Weights, threads and decoding. The number of threads holds for all of torch in this process.
        network: A network in evaluation mode to use, and to change, in place of the configured weights.
        backend: What runs that network; without one it runs as it is.

    Raises:
        InputError: There are no weights, or they do not fit.

    """

    name = "network"
    modalities = MODALITIES

    def __init__(
        self, config: NetworkConfig, *, network: Network | None = None, backend: Backend | None = None
    ) -> None:
        self.config = config
        self.network = network or load_network(weights_path(config.weights))
        fold_norms(self.network)
        self.backend = backend or EagerBackend(self.network)
        torch.set_num_threads(config.threads)
        self._memory = QueryMemory()

    def prepare(self, frame: SyncedFrame) -> SensorBatch:
        """See `Detector.prepare`: pictures decoded, clouds moved to the tick, tensors made."""
        sample = sample_of(frame, self.network.config.sample)
        return collate([sample], self.network.config.batch)

    def detect(self, frame: SyncedFrame, prepared: SensorBatch | None = None) -> Detections:
        """See `Detector.detect`; the detections carry futures."""
        batch = self.prepare(frame) if prepared is None else prepared
        if not batch.present.any():
            return Detections.empty(frame.timestamp_ns)
        outputs, self._memory = self.backend(batch, self._memory)
        return decode(outputs, frame.timestamp_ns, self.config.decoding)

    def reset(self) -> None:
        """See `Detector.reset`."""
        self._memory = QueryMemory()

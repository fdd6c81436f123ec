"""Two runs over the same scenes, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.headlines import HEADLINES, LOWER_IS_BETTER, OTHER_PROTOCOLS
from tricast.perception.evaluation.interval import bootstrap_difference
from tricast.perception.evaluation.resampling import headline_score
from tricast.perception.evaluation.run_directory import StoredRun
from tricast.perception.evaluation.scores import score_all
from tricast.perception.evaluation.summary import without_nan
from tricast.perception.evaluation.text_tables import TextTable, number
from tricast.sensors.errors import SensorDataError


def compare_runs(run_a: StoredRun, run_b: StoredRun, *, max_range_m: float | None = None) -> dict[str, Any]:
    """Figures of both runs, B minus A, and the interval of that difference by the paired bootstrap over scenes.

    Raises:
        SensorDataError: The runs are not about the same truth.

    """
    if truths_differ(run_a.truth.boxes, run_b.truth.boxes):
        raise SensorDataError(
            where=run_b.name,
            got=f"other scenes or other truth than {run_a.name}",
            expected="two runs over the same logs",
            remedy="evaluate both on the same logs, with the same version of Tricast",
        )
    scores = [score_all(run.results, run.truth, max_range_m) for run in (run_a, run_b)]
    resampled = [headline_score(one) for one in scores]
    num_scenes = scores[0].num_scenes
    whole = [score(np.ones(num_scenes, np.int64)) for score in resampled]
    spread = bootstrap_difference(resampled[0], resampled[1], num_scenes)
    figures = {
        name: {
            "a": whole[0][name],
            "b": whole[1][name],
            "difference": whole[1][name] - whole[0][name],
            "interval": [spread[name].low, spread[name].high],
            "share_above_zero": spread[name].share_above_zero,
        }
        for name in whole[0]
    }
    return without_nan({"run_a": run_a.name, "run_b": run_b.name, "scenes": num_scenes, "figures": figures})


def truths_differ(one: BoxTable, other: BoxTable) -> bool:
    """Whether two truths are not of the same samples, scenes and objects."""
    if one.sample_tokens != other.sample_tokens or len(one) != len(other):
        return True
    same = np.array_equal(one.sample_scene, other.sample_scene) and np.array_equal(one.class_index, other.class_index)
    return not (same and np.allclose(one.centers_m, other.centers_m))


def describe_comparison(comparison: Mapping[str, Any]) -> str:
    """A table for a terminal, with a verdict where the interval of the difference excludes zero."""
    rows = []
    for path, name in (*HEADLINES, *OTHER_PROTOCOLS):
        figure = comparison["figures"][path]
        low, high = figure["interval"]
        values = [figure["a"], figure["b"], figure["difference"], low, high]
        rows.append([name, *map(number, values), _verdict(low, high, lower_is_better=path in LOWER_IS_BETTER)])
    scenes = comparison["scenes"]
    counted = f"{scenes} scenes, 95 % intervals of B - A" if scenes > 1 else "1 scene, which gives no intervals"
    head = f"A: {comparison['run_a']}\nB: {comparison['run_b']}\n{counted}"
    table = TextTable(header=["", "A", "B", "B - A", "from", "to", "B is"], rows=rows)
    return f"{head}\n\n{table.aligned()}"


def _verdict(low: float | None, high: float | None, *, lower_is_better: bool) -> str:
    if low is None or high is None or low <= 0 <= high:
        return ""
    return "better" if (high < 0) == lower_is_better else "worse"

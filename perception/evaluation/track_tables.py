"""Tracks made ready for scoring as the nuScenes devkit does: scores averaged over a track, holes interpolated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.configs.errors import InputError
from tricast.perception.evaluation.box_table import BOX_COLUMNS, NO_TRACK, BoxTable, matching_samples


def track_keys(table: BoxTable) -> NDArray[np.int64]:
    """(N,) number of each box's track, different for equal identities in different scenes.

    Raises:
        InputError: A box has no identity, or two boxes of a sample share one.

    """
    scene = table.sample_scene[table.sample_index]
    _check_identities(table)
    _, keys = np.unique(np.stack([scene, table.track_ids], axis=1), axis=0, return_inverse=True)
    return keys.reshape(-1).astype(np.int64)


def _check_identities(table: BoxTable) -> None:
    pairs = np.stack([table.sample_index, table.track_ids], axis=1)
    _, first, counts = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    for rows, got in (
        (np.flatnonzero(table.track_ids == NO_TRACK), "a box without an identity"),
        (first[counts > 1], "an identity twice"),
    ):
        if len(rows):
            token = table.sample_tokens[table.sample_index[rows[0]]]
            remedy = "give every box of a sample an identity of its own"
            raise InputError(where=f"sample '{token}'", got=got, expected="one identity per box", remedy=remedy)


def in_time_order(table: BoxTable) -> BoxTable:
    """The same table with samples sorted by scene and time."""
    order = np.lexsort((table.sample_time_ns, table.sample_scene))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    columns = {name: getattr(table, name) for name in BOX_COLUMNS}
    return BoxTable.of(
        [table.sample_tokens[row] for row in order],
        sample_scene=table.sample_scene[order],
        sample_time_ns=table.sample_time_ns[order],
        **{**columns, "sample_index": place[table.sample_index]},
    )


def rows_of_class(table: BoxTable, sample: int, class_index: int) -> NDArray[np.int64]:
    """Rows of one class in one sample."""
    start, stop = np.searchsorted(table.sample_index, [sample, sample + 1])
    return start + np.flatnonzero(table.class_index[start:stop] == class_index)


def with_scenes_of(truth: BoxTable, predictions: BoxTable) -> BoxTable:
    """Predictions with the scenes and times that the truth states.

    Raises:
        InputError: The two tables do not hold the same samples.

    """
    rows = matching_samples(predictions, truth)
    scene, time = np.empty_like(truth.sample_scene), np.empty_like(truth.sample_time_ns)
    scene[rows], time[rows] = truth.sample_scene, truth.sample_time_ns
    return predictions.replaced(sample_scene=scene, sample_time_ns=time)


def with_track_scores(table: BoxTable) -> BoxTable:
    """Every box with the mean score of its track."""
    keys = track_keys(table)
    order = np.argsort(keys, kind="stable")
    parts = np.split(table.scores[order], np.flatnonzero(np.diff(keys[order])) + 1)
    # np.mean of each part, as the devkit takes it: thresholds are compared with these scores to the last bit.
    means = np.array([part.mean() for part in parts]) if len(table) else np.zeros(0)
    return table.replaced(scores=means[keys])


def interpolated(table: BoxTable) -> BoxTable:
    """Tracks without holes: between two boxes of a track, every sample of the scene gets one.

    Class and sample count as the later box's. The devkit weights the later box by the time that is left until it, so
    that in a hole of several samples the boxes run backwards; the same is done here, since figures must be equal.
    Boxes that are added stand behind the sample's own, by track in order of first appearance. Samples must be in time
    order.
    """
    keys = track_keys(table)
    first_seen = np.full(int(keys.max(initial=-1)) + 1, len(table))
    np.minimum.at(first_seen, keys, np.arange(len(table)))
    order = np.lexsort((table.sample_index, keys))
    left, right = order[:-1], order[1:]
    gap = table.sample_index[right] - table.sample_index[left]
    holes = np.flatnonzero((keys[left] == keys[right]) & (gap > 1))
    left, right, missing = left[holes], right[holes], gap[holes] - 1
    step = np.arange(missing.sum()) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    sample = np.repeat(table.sample_index[left], missing) + step
    left, right = np.repeat(left, missing), np.repeat(right, missing)
    by_appearance = np.lexsort((first_seen[keys[right]], sample))
    left, right, sample = left[by_appearance], right[by_appearance], sample[by_appearance]
    times = table.sample_time_ns
    left_time, right_time = times[table.sample_index[left]], times[table.sample_index[right]]
    ratio = (right_time - times[sample]) / np.maximum(right_time - left_time, 1)

    def between(values: NDArray[np.float64]) -> NDArray[np.float64]:
        weight = ratio if values.ndim == 1 else ratio[:, None]
        return np.concatenate([values, (1.0 - weight) * values[left] + weight * values[right]])

    return BoxTable.of(
        table.sample_tokens,
        sample_scene=table.sample_scene,
        sample_time_ns=times,
        sample_index=np.concatenate([table.sample_index, sample]),
        class_index=np.concatenate([table.class_index, table.class_index[right]]),
        centers_m=between(table.centers_m),
        sizes_m=between(table.sizes_m),
        yaws_rad=np.concatenate([table.yaws_rad, table.yaws_rad[right]]),
        velocities_mps=between(table.velocities_mps),
        scores=between(table.scores),
        attribute_index=np.concatenate([table.attribute_index, table.attribute_index[right]]),
        track_ids=np.concatenate([table.track_ids, table.track_ids[right]]),
        ego_distance_m=between(table.ego_distance_m),
        num_points=np.concatenate([table.num_points, table.num_points[right]]),
    )

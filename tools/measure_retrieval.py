"""Retrieval across sensors: `python -m tricast.tools.measure_retrieval --shards DIR --weights W [--ticks 500]`.

Of ticks spread evenly over DIR's scenes, each with an embedding from each sensor alone: how often the nearest embedding
of another sensor is that of the same tick (recall at 1), with how many ticks there were to choose from.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from tricast.perception.evaluation.text_tables import TextTable
from tricast.perception.model_weights import load_network
from tricast.perception.training.contrastive_stage import retrieval_figures
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.validation import spread
from tricast.tools.user_input import mistakes_in_one_line, positive_int


@mistakes_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True, help="shards of scenes that nothing was trained on")
    parser.add_argument("--weights", type=Path, required=True, help="of a contrastive stage")
    parser.add_argument("--ticks", type=positive_int, default=500, metavar="N", help="at most; all if there are fewer")
    parser.add_argument("--threads", type=positive_int, default=2, metavar="T")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    figures = _measured(args)
    if args.json:
        print(json.dumps({name: {"recall_at_1": recall, "ticks": count} for name, (recall, count) in figures.items()}))
        return 0
    rows = [
        [name.removeprefix("recall "), f"{recall:.3f}", str(round(recall * count)), str(count), f"{1 / count:.3f}"]
        for name, (recall, count) in figures.items()
    ]
    print(TextTable(header=["from, to", "recall@1", "right", "ticks", "chance"], rows=rows).aligned())
    return 0


def _measured(args: argparse.Namespace) -> dict[str, tuple[float, int]]:
    torch.set_num_threads(args.threads)
    network, shards = load_network(args.weights), ShardSet(args.shards)
    return retrieval_figures(network, shards, spread(len(shards), args.ticks))


if __name__ == "__main__":
    sys.exit(main())

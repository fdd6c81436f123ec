"""The mean of weights that lie near each other: `python -m tricast.tools.average_weights OUT W W...`.

For stages that began from one another, where the mean keeps most of what each has learned (Wortsman et al., Model
soups, 2022). Scores of the mean are not calibrated; `tricast calibrate` comes after.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from tricast.configs.errors import InputError
from tricast.perception.detectors.network_config import weights_path
from tricast.perception.model import Network
from tricast.perception.model_weights import load_network, save_weights
from tricast.tools.user_input import file_to_write, mistakes_in_one_line


def averaged(paths: Sequence[Path]) -> Network:
    """A network whose parameters and statistics are the means of those of several files.

    Raises:
        InputError: A file does not hold weights, or holds those of a network of another configuration than the first.

    """
    networks = [load_network(path) for path in paths]
    mean = networks[0]
    for path, network in zip(paths, networks, strict=True):
        if network.config != mean.config:
            raise InputError(
                where=str(path),
                got=f"another configuration than in {paths[0]}",
                expected="weights of one network",
                remedy="give stages that began from one another",
            )
    states = [network.state_dict() for network in networks]
    means = {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(value.dtype)
        for name, value in states[0].items()
    }
    mean.load_state_dict(means)
    return mean


@mistakes_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the mean; 0 done, 2 the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("weights", nargs="+", help="weights of networks of one configuration: files, or packaged names")
    args = parser.parse_args(arguments)
    out = file_to_write(args.out, "OUT")
    # Weights take hours, and whoever forgets OUT names some first.
    if out.exists():
        raise InputError(
            where="OUT",
            got=f"{out}, which is there already",
            expected="a new file",
            remedy="name the file to write before the weights, or delete it",
        )
    mean = averaged([weights_path(name) for name in args.weights])
    save_weights(out, mean, notes={"mean_of": str(len(args.weights))})
    return 0


if __name__ == "__main__":
    sys.exit(main())

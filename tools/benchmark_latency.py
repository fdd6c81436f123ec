"""The latency benchmark as a script: `python -m tricast.tools.benchmark_latency`, the same as `tricast benchmark`."""

from __future__ import annotations

import sys

from tricast.tools.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))

"""What commands leave out: replay with the classical detector needs neither PyTorch nor a ray caster."""

import subprocess
import sys
from pathlib import Path

from tricast.tools.demo import demo_log_path

CODE = """
import sys
from tricast.tools.cli import main
assert main(sys.argv[1:]) == 0
print(sorted({"torch", "torchvision", "open3d", "embreex", "rerun"} & sys.modules.keys()), file=sys.stderr)
"""


def test_replay_imports_neither_torch_nor_a_caster_nor_a_viewer(tmp_path: Path) -> None:
    replay = ["replay", str(demo_log_path()), "--out", str(tmp_path), "--duration", "0.2", "--no-pictures"]
    replay += ["--detector", "cluster"]
    done = subprocess.run([sys.executable, "-c", CODE, *replay], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"

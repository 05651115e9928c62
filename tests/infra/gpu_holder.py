"""Another process of the machine that takes the place on the GPU, says whether it has it, and waits."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_HOLD = """
import sys
from pathlib import Path
from infra.deployments.gpu_slot import gpu_slot
with gpu_slot(sys.argv[1], Path(sys.argv[2]), timeout=30, given_up=lambda: False) as held:
    print(held, flush=True)
    sys.stdin.readline()
"""


def hold(limit: str, lock: Path, api_url: str) -> "subprocess.Popen[str]":
    """Start it; it prints `True` or `False`, and gives the place back when it is sent a line."""
    return subprocess.Popen(
        [sys.executable, "-c", _HOLD, limit, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PREFECT_API_URL": api_url, "PYTHONPATH": str(ROOT)},
        text=True,
    )

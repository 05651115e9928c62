"""What torch computes with in this process: everything below the recipe that can change a model's bits."""

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version

import torch

from fedmodels.training.precision import pick_device


@dataclass(frozen=True)
class TorchBuild:
    """Versions and hardware as torch and the interpreter name them. No host name and no path is among them.

    `build_sha256`: of how torch says that it was built: compiler, libraries, options.
    """

    python: str
    torch: str
    build_sha256: str
    transformers: str
    machine: str
    instruction_set: str
    device: str


def torch_build() -> TorchBuild:
    """Of this process."""
    device = pick_device()
    return TorchBuild(
        python=platform.python_version(),
        torch=torch.__version__,
        build_sha256=hashlib.sha256(_how_torch_was_built().encode()).hexdigest(),
        transformers=version("transformers"),
        machine=platform.machine(),
        instruction_set=torch.backends.cpu.get_cpu_capability(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    )


def _how_torch_was_built() -> str:
    """Without the line that tells of this machine's processor: that is `instruction_set`."""
    lines = torch.__config__.show().splitlines()
    return "\n".join(line for line in lines if "CPU capability usage" not in line)

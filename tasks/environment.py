"""The environment of this process, as plans, receipts and records name it."""

from functools import cache

from fedmodels.protocol.messages import Environment
from infra.checkout import running_checkout


@cache
def this_environment(threads: int) -> Environment:
    """What this process computes with; read once, since a process keeps the code that it began with.

    Args:
        threads: of torch.
    """
    from fedmodels.torch_build import torch_build

    code, build = running_checkout(), torch_build()
    return Environment(
        code=code.commit,
        modified=code.modified,
        constraints_sha256=code.constraints_sha256,
        python=build.python,
        torch=build.torch,
        torch_build_sha256=build.build_sha256,
        transformers=build.transformers,
        machine=build.machine,
        instruction_set=build.instruction_set,
        device=build.device,
        threads=threads,
    )

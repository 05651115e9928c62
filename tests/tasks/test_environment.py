"""What this process computes with, as messages name it."""

import platform
import socket

import torch

from infra.checkout import ROOT
from tasks.environment import this_environment


def test_it_names_versions_and_processor_and_neither_machine_nor_path():
    found = this_environment(2)
    assert (found.torch, found.python, found.threads) == (torch.__version__, platform.python_version(), 2)
    assert found.instruction_set == torch.backends.cpu.get_cpu_capability()
    told = found.model_dump_json()
    assert str(ROOT) not in told and socket.gethostname() not in told

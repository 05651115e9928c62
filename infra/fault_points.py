"""Named points at which the fault harness ends, holds up or fails a process; nothing at all otherwise.

The harness (`tests/faults/`) sets `FAULTS_OF_FEDCART` for a whole stack. Without that variable, which is
looked up once, both decorators return the very function that they are given.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

HARNESS = "FAULTS_OF_FEDCART"
"""Variable with the harness's module. Names that begin with FEDCART_ are settings."""

Function = TypeVar("Function", bound=Callable[..., Any])

_harness: Any = importlib.import_module(os.environ[HARNESS]) if os.environ.get(HARNESS) else None


def fault_step(function: Function) -> Function:
    """A step of the coordinator or a party, before and after which a fault may come."""
    made: Function = function if _harness is None else _harness.around_step(function)
    return made


def fault_effect(function: Function) -> Function:
    """Something that a step reads or leaves behind; in the report it is named after its step."""
    made: Function = function if _harness is None else _harness.around_effect(function)
    return made

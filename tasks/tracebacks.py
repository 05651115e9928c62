"""Tracebacks are dropped: they name files of the machine they come from, and Prefect's server keeps them."""

import logging


class _WithoutTraceback(logging.Filter):
    """Drops a record's traceback, which names files of this machine."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info, record.exc_text = None, None
        return True


_FILTER = _WithoutTraceback()


def silence_tracebacks() -> None:
    """Keep tracebacks out of what a flow run logs, to Prefect's server and on its machine. Twice is once."""
    for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.flow_engine", "prefect.task_engine"):
        logging.getLogger(name).addFilter(_FILTER)

"""The real object store without a Prefect server or workers: what needs no more starts in two seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local import processes, stack
from infra.local.plan import plan_stack, write_stack
from infra.locations import stack_folder
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from infra.stores import store_from_settings


@contextmanager
def store_alone(home: Path, parties: tuple[str, ...]) -> Iterator[Path]:
    """Inside, a stack of these parties is set up in `home` and its store runs."""
    home = home.resolve()
    planned = plan_stack(
        home,
        parties,
        bucket="fedcart",
        server_port=None,
        s3_port=None,
        server_lives=False,
        store_lives=False,
    )
    write_stack(planned)
    try:
        stack.start_store(home)
        yield home
    finally:
        # It is asked for nothing any more, and would take two seconds to end by itself.
        for process in processes.marked(stack_folder(home), stack.STORE):
            process.kill()
        stack.down(home)


def store_of(home: Path, role: str) -> ObjectStore:
    """The bucket with the credentials of one role."""
    return store_from_settings(load_role_settings(home, role))

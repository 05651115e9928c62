"""Notes which files below some folders the coordinator's processes open, however they open them.

An audit hook sees what Python opens itself, and SQLite. Arrow opens files in C++, of which no hook is told;
so what a Python program calls to have it done is wrapped as soon as it is imported, and notes the paths that
it is given. Not seen are the methods of `pyarrow.fs`, which cannot be wrapped: a test holds that nothing
uses them.
"""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder

ARROW = {
    "pyarrow.lib": ("OSFile", "memory_map", "input_stream"),
    "pyarrow.parquet.core": ("ParquetFile", "ParquetDataset", "read_table", "read_metadata", "read_schema"),
    "pyarrow.dataset": ("dataset", "parquet_dataset"),
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.json": ("read_json", "open_json"),
    "pyarrow.feather": ("read_table", "read_feather", "FeatherDataset"),
    "pyarrow.orc": ("ORCFile", "read_table"),
}
"""By module what takes the path of a file to open."""
EVENTS = ("open", "sqlite3.connect")


def watch(watched: tuple[str, ...], log: str) -> None:
    """From now on write into `log` each path that starts with one of `watched` and is opened."""

    def note(given: object) -> None:
        if isinstance(given, list | tuple | set):
            for item in given:
                note(item)
        elif isinstance(given, str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(given).removeprefix("file://"))  # noqa: PTH100 (asks no disk)
            # Asked at each opening: a flow run is forked, and learns its role after it was born.
            if path.startswith(watched) and path != log and _is_coordinators():
                with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "w") as file:
                    file.write(path + "\n")

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in EVENTS:
            note(arguments[0])

    sys.addaudithook(hook)
    sys.meta_path.insert(0, _Wrapping(note))


def _is_coordinators() -> bool:
    return os.environ.get("FEDCART_CONFIG", "").endswith("coordinator/fedcart.toml")


class _Wrapping:
    """Finds modules of `ARROW`, and wraps what they hold once they were run."""

    def __init__(self, note: Callable[[object], None]) -> None:
        self._note = note

    def find_spec(self, name: str, path: list[str] | None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in ARROW else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_wrap(module: object) -> None:
            run(module)
            for wanted in ARROW[name]:
                self._wrap(module, wanted)

        spec.loader.exec_module = run_and_wrap
        return spec

    def _wrap(self, module: object, name: str) -> None:
        found = getattr(module, name)
        if inspect.isclass(found) and inspect.isfunction(found.__init__):
            found.__init__ = self._noting(found.__init__)  # the class stays the one that others compare with
        else:
            setattr(module, name, self._noting(found))

    def _noting(self, called: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(called)
        def noted(*arguments: object, **options: object) -> object:
            for given in (*arguments, *options.values()):
                self._note(given)
            return called(*arguments, **options)

        return noted

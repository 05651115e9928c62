"""What the messages of all runs and releases refer to, gathered without reading most of them again.

A global model stays while any message refers to it, so the coordinator's sweep has to know what every run
that ever was refers to. What a sweep has read it leaves below its own prefix, for each run and each recipe's
releases, with the versions of the objects that it read. The next sweep lists all objects, a thousand at a
time, and reads those of a run where one came, went or was put again since: what lies there unchanged still
says the same. What was left is no more than a saving. Where it is gone or damaged everything is read.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from pydantic import ValidationError

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.sweeping import Gathered, References, references, shortened
from infra.layout import COORDINATOR, all_releases_prefix, parties_prefix, role_prefix, runs_prefix, sweep_key
from infra.object_store import ObjectStore
from tasks.exchange import read_as_it_is, read_bytes
from validation.admission import RECEIPT_LIMIT

READERS = 8
REFERENCES_KEY = sweep_key(COORDINATOR, "references")
"""Where the coordinator's sweep leaves what it gathered."""


def gather(store: ObjectStore) -> tuple[References, bool]:
    """What the messages of all runs and releases refer to, and whether that is news.

    Raises:
        IntegrityError: a message of the coordinator's is damaged, and what it refers to was not known before.
    """
    known = _known(store)
    listed = _listed(store)
    versions = {place: _hash_of(objects) for place, objects in listed.items()}
    fresh = [place for place, version in versions.items() if known.get(place, (None,))[0] != version]
    names = {place: known[place][1] for place in versions if place not in fresh}
    for place in fresh:
        names[place] = shortened(read_references(store, COORDINATOR, listed[place]))
    gathered = tuple(Gathered(place=p, versions=versions[p], names=names[p]) for p in sorted(versions))
    return References(gathered=gathered), bool(fresh) or known.keys() != versions.keys()


def read_references(store: ObjectStore, role: str, keys: Iterable[str]) -> frozenset[str]:
    """Every SHA-256 in these messages; as `references_by_key`."""
    return frozenset(chain.from_iterable(references_by_key(store, role, keys).values()))


def references_by_key(store: ObjectStore, role: str, keys: Iterable[str]) -> dict[str, frozenset[str]]:
    """Every SHA-256 in each of these messages: of the coordinator's or the role's own only whole ones count.

    Raises:
        IntegrityError: one of those is damaged: what it refers to is not known.
    """
    trusted = (role_prefix(COORDINATOR), role_prefix(role))

    def look(key: str) -> frozenset[str]:
        data = read_bytes(store, key) if key.startswith(trusted) else read_as_it_is(store, key, RECEIPT_LIMIT)
        return frozenset() if data is None else references([data])

    read = tuple(keys)
    with ThreadPoolExecutor(READERS) as readers:
        return dict(zip(read, readers.map(look, read), strict=True))


def _known(store: ObjectStore) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What an earlier sweep left, by place: versions, and names; nothing, when that cannot be trusted."""
    try:
        data = store.read(REFERENCES_KEY)
        left = References.model_validate_json(data) if data else References(gathered=())
    except (IntegrityError, ValidationError):
        return {}
    return {each.place: (each.versions, each.names) for each in left.gathered}


def _listed(store: ObjectStore) -> dict[str, dict[str, str]]:
    """Every message with its version, by place: `runs/RUN`, of whatever role, and `releases/RECIPE`."""
    parties = (f"{role_prefix(party)}runs/" for party in store.list_folders(parties_prefix()))
    kinds = {"runs": (runs_prefix(), *parties), "releases": (all_releases_prefix(),)}
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for kind, prefixes in kinds.items():
        for prefix in prefixes:
            for key, version in store.list_versions(prefix):
                found[f"{kind}/{key.removeprefix(prefix).partition('/')[0]}"][key] = version
    return found


def _hash_of(versions: Mapping[str, str]) -> str:
    return sha256_hex("\n".join(f"{key} {versions[key]}" for key in sorted(versions)).encode())

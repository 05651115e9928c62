"""Marks beside a release whose model learned from what was withdrawn: signed, one for each notice."""

from fedmodels.errors import IntegrityError
from fedmodels.protocol.messages import Signed
from fedmodels.protocol.withdrawal import WithdrawnMark
from infra.keys import verify
from infra.layout import release_key
from infra.object_store import ObjectStore
from tasks.exchange import parse

_MARK = "withdrawn-"


def mark_key(mark: WithdrawnMark) -> str:
    """Where a mark lies."""
    return release_key(mark.recipe, mark.release, f"{_MARK}{mark.party}-{mark.number:04d}")


def read_marks(
    store: ObjectStore, recipe: str, release: int, public: str | None = None
) -> tuple[WithdrawnMark, ...]:
    """The marks of a release.

    Args:
        store: the bucket.
        recipe: name of the recipe.
        release: its number.
        public: the coordinator's key, base64; `None`: signatures are not checked.

    Raises:
        IntegrityError: `message-invalid`: one of them is none, or is not the coordinator's.
    """
    found = []
    for key in store.list_keys(release_key(recipe, release, _MARK).removesuffix(".json")):
        signed = parse(Signed, store.read(key) or b"", key)
        if public is not None and not verify(public, signed.payload.encode(), signed.signature):
            raise IntegrityError(
                f"The mark {key} of a withdrawal is not signed with the coordinator's key",
                fix="restore it from a backup, or remove it: the notice itself is held against each release",
                code="message-invalid",
            )
        found.append(parse(WithdrawnMark, signed.payload.encode(), key))
    return tuple(found)

"""Seeds derived from names: every random choice has its own, and none depends on what ran before."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) from SHA-256 of the parts; `("a", 1)` and `("a1",)` differ."""
    digest = hashlib.sha256("\x1f".join(repr(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1

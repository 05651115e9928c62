"""Settings of a role whose store does not answer, or is no store."""

from pathlib import Path

from infra.keys import ensure_private_key
from infra.settings import Settings


def settings_without_store(folder: Path, port: int) -> Settings:
    """Of a party with a key in `folder`, whose store would listen on `port`."""
    ensure_private_key(folder / "key.pem")
    return Settings(
        home=folder / "home",
        role="shop-a",
        signing_key=folder / "key.pem",
        s3_endpoint=f"http://127.0.0.1:{port}",
        s3_access_key_id="a",
        s3_secret_access_key="b",
    )

"""What each role of a stack needs before its first process starts: a key, S3 credentials, settings."""

import os
from pathlib import Path

from infra.deployments.declaration import COORDINATOR
from infra.keys import ensure_model_key, ensure_private_key, public_key
from infra.local import seaweedfs
from infra.local.plan import Stack
from infra.locations import role_folder, stack_folder
from infra.private_files import write_private
from infra.role_settings import update_role_settings

MOST_THREADS = 8
"""Of the coordinator, which computes while the parties wait; each party has one, since they train at once."""


def store_folder(home: Path) -> Path:
    """The store's data, identities and keys."""
    return stack_folder(home) / "store"


def prepare_roles(stack: Stack) -> dict[str, tuple[str, str]]:
    """Make what is missing, and write each role's settings file; return the roles' S3 credentials.

    The coordinator's settings list the parties' public keys. Each private key stays in its own folder; the
    public half of the one that signs models lies beside it, for whoever asks for it.

    Raises:
        InputError: a key or a settings file that stands there is garbled, or others may read the key.
    """
    issued = seaweedfs.prepare(store_folder(stack.home), stack.bucket, stack.parties)
    public = {}
    for role in stack.roles:
        folder = role_folder(stack.home, role)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        key_file = folder / "signing-key.pem"
        public[role] = public_key(ensure_private_key(key_file))
        access_key_id, secret = issued[role]
        update_role_settings(
            stack.home,
            role,
            {
                "home": str(stack.home),
                "role": role,
                "bucket": stack.bucket,
                "s3_endpoint": stack.endpoint,
                "s3_access_key_id": access_key_id,
                "s3_secret_access_key": secret,
                "signing_key": str(key_file),
            },
        )
    model_key = ensure_model_key(role_folder(stack.home, COORDINATOR) / "model-signing-key.pem")
    write_private(model_key.path.with_suffix(".pub"), model_key.public)
    coordinators = {
        "model_signing_key": str(model_key.path),
        "party_keys": {party: public[party] for party in stack.parties},
        "torch_threads": min(os.cpu_count() or 1, MOST_THREADS),
    }
    update_role_settings(stack.home, COORDINATOR, coordinators)
    return issued

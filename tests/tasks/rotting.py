"""Objects whose bytes change where they lie, as on a disk that rots: the hash put with them stays."""

from infra.object_store import ObjectStore


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def rot(store: ObjectStore, key: str) -> None:
    """Flip one bit of the object, and leave what was put with it."""
    answer = store.client.get_object(Bucket=store.bucket, Key=key)
    data = answer["Body"].read()
    assert answer["Metadata"]
    store.client.put_object(
        Bucket=store.bucket, Key=key, Body=flipped(data, len(data) // 2), Metadata=answer["Metadata"]
    )

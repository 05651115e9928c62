"""Clients of one process: each has its own credentials and limits, though one session makes them all."""

from concurrent.futures import ThreadPoolExecutor

from infra.s3_clients import s3_client


def made(name: str, attempts: int = 1):
    return s3_client(
        "http://127.0.0.1:9",
        access_key_id=name,
        secret_access_key=f"secret of {name}",
        connect_timeout=1,
        read_timeout=2,
        attempts=attempts,
    )


def presigned(client) -> str:
    """A URL that names its access key, made without asking the store."""
    return client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})


def test_threads_that_make_clients_at_once_get_their_own():
    names = [f"role-{number}" for number in range(16)]
    with ThreadPoolExecutor(len(names)) as pool:
        clients = list(pool.map(made, names))
    assert len(set(map(id, clients))) == len(names)
    for name, client in zip(names, clients, strict=True):
        assert f"X-Amz-Credential={name}%2F" in presigned(client)


def test_what_is_unhooked_from_one_client_stays_on_the_others():
    asked: list[str] = []
    listening, other = made("a"), made("b")
    listening.meta.events.register("provide-client-params.s3", lambda **_: asked.append("a"))
    presigned(other)
    assert asked == []
    presigned(listening)
    assert asked == ["a"]


def test_the_first_time_counts_among_the_attempts():
    assert made("a", attempts=3).meta.config.retries["total_max_attempts"] == 3

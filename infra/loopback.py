"""This machine's own servers, which are never asked through a proxy: it could not reach them."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, build_opener

HOSTS = ("127.0.0.1", "localhost")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_EXCEPT = ("no_proxy", "NO_PROXY")
"""The small one first: where both are set, most libraries read that one."""


def sparing(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep an environment's proxies from loopback; none where it names no proxy.

    >>> sparing({"http_proxy": "http://proxy:3128", "no_proxy": "bank.example"})["no_proxy"]
    'bank.example,127.0.0.1,localhost'
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES):
        return {}
    said = next((environment[name] for name in _EXCEPT if environment.get(name)), "")
    spared = [host for host in map(str.strip, said.split(",")) if host]
    if "*" in spared:
        return {}
    value = ",".join([*spared, *(host for host in HOSTS if host not in spared)])
    return dict.fromkeys(_EXCEPT, value)


def spare_loopback() -> None:
    """Have this process, and those that it starts, ask loopback without a proxy."""
    os.environ.update(sparing(os.environ))


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def direct() -> OpenerDirector:
    """What opens URLs of this machine, whatever proxies are set."""
    return build_opener(ProxyHandler({}))

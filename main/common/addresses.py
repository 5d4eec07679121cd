"""The address of the client that sent a request."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address


def address_of(request: HttpRequest) -> str:
    """The client's address as text, "" if there is none. X-Forwarded-For counts as far as TRUSTED_PROXIES sent it.

    For IPv6 it is the network of 56 bits: one customer has all addresses of such a network.
    """
    client = None
    for hop in _hops(request):
        address = _parsed(hop)
        if address is None:
            break
        client = address
        if not _is_proxy(address):
            break
    if client is None:
        return ""
    return str(client if client.version == 4 else IPv6Network((client, 56), strict=False))


def comes_from_proxy(request: HttpRequest) -> bool:
    remote = request.META.get("REMOTE_ADDR", "")
    return _is_unix_socket(remote) or _is_proxy(_parsed(remote))


def _hops(request: HttpRequest) -> Iterator[str]:
    """The hosts that passed the request on, the nearest first."""
    remote = request.META.get("REMOTE_ADDR", "")
    if not _is_unix_socket(remote):
        yield remote
    yield from reversed(request.headers.get("X-Forwarded-For", "").split(","))


def _is_unix_socket(remote: str) -> bool:
    # Only a proxy on this machine connects through a Unix socket.
    return not remote and bool(settings.TRUSTED_PROXIES)


def _is_proxy(address: Address | None) -> bool:
    return address is not None and any(address in network for network in settings.TRUSTED_PROXIES)


def _parsed(text: str) -> Address | None:
    with_port = re.fullmatch(r"\s*(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):[0-9]+\s*", text)
    try:
        # Without the zone of an IPv6 address, which may be any text.
        address = ip_address((with_port[1] or with_port[2] if with_port else text.strip()).partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

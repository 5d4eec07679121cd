"""Where a request comes from."""

import re
from ipaddress import IPv6Network, ip_address

from django.conf import settings


def address_of(request):
    """The address of the client, as far as TRUSTED_PROXIES vouches for it, as text.

    Of IPv6 it is the network of 56 bits, of which one customer has all addresses. "" if there is none.
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


def comes_from_proxy(request):
    remote = request.META.get("REMOTE_ADDR", "")
    return _is_unix_socket(remote) or _is_proxy(_parsed(remote))


def _hops(request):
    """Who handed the request on, the last first, as each told of the one before."""
    remote = request.META.get("REMOTE_ADDR", "")
    if not _is_unix_socket(remote):
        yield remote
    yield from reversed(request.headers.get("X-Forwarded-For", "").split(","))


def _is_unix_socket(remote):
    # Only a proxy on this machine comes that way, if there are any.
    return not remote and bool(settings.TRUSTED_PROXIES)


def _is_proxy(address):
    return address is not None and any(address in network for network in settings.TRUSTED_PROXIES)


def _parsed(text):
    with_port = re.fullmatch(r"\s*(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):[0-9]+\s*", text)
    try:
        address = ip_address(with_port[1] or with_port[2] if with_port else text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

"""Where a request comes from."""

from ipaddress import IPv6Network, ip_address

from django.conf import settings


def address_of(request):
    """The address of the client, as far as TRUSTED_PROXIES vouches for it, as text.

    Of IPv6 it is the network of 64 bits, of which one customer has all addresses. "" if there is none, as where a
    server listens at a Unix socket.
    """
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    client = None
    for hop in (request.META.get("REMOTE_ADDR", ""), *reversed(forwarded)):
        address = _parsed(hop.strip())
        if address is None:
            break
        client = address
        if not _is_proxy(address):
            break
    if client is None:
        return ""
    return str(client if client.version == 4 else IPv6Network((client, 64), strict=False))


def comes_from_proxy(request):
    return _is_proxy(_parsed(request.META.get("REMOTE_ADDR", "")))


def _is_proxy(address):
    return address is not None and any(address in network for network in settings.TRUSTED_PROXIES)


def _parsed(text):
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

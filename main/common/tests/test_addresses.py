from ipaddress import ip_network

import pytest
from django.test import RequestFactory

from common.addresses import address_of


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # no proxy of ours
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.1", "198.51.100.1"),  # what the client wrote itself
        ("10.0.0.1", "198.51.100.1,10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3::4", None, "2001:db8:1::/56"),
        ("2001:db8:1:99:ffff::9", None, "2001:db8:1::/56"),
        ("fd00::1", "2001:db8::1", "2001:db8::/56"),
        ("10.0.0.1", "198.51.100.1:52113", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:52113", "2001:db8::/56"),
        ("10.0.0.1", "fe80::%any text", "fe80::/56"),
        ("", "198.51.100.1", "198.51.100.1"),  # a Unix socket
        ("", "", ""),
    ],
)
def test_the_address_is_believed_as_far_as_the_proxies_are_ours(settings, remote, forwarded, address):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert address_of(RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)) == address


def test_no_proxy_is_ours_unless_the_settings_say_so():
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "198.51.100.1"})
    assert address_of(request) == "127.0.0.1"


def test_at_a_unix_socket_nobody_is_believed_without_the_settings():
    request = RequestFactory().get("/", REMOTE_ADDR="", headers={"X-Forwarded-For": "198.51.100.1"})
    assert address_of(request) == ""

"""When a request has arrived in whole, in whatever pieces it comes."""

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from common.middleware import RequestLimitsMiddleware
from main.worker import HIGHEST_BODY, HIGHEST_DISCARD, HIGHEST_HEAD, Request

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


def add_in_pieces(data, size):
    """After how many bytes it is there, and the request."""
    request = Request()
    for start in range(0, len(data), size):
        if request.add(data[start : start + size]):
            return start + size, request
    return None, request


@given(
    body=st.binary(max_size=300), size=st.integers(1, 400), name=st.sampled_from([b"Content-Length", b"content-LENGTH"])
)
def test_a_body_is_waited_for_to_its_end(body, size, name):
    data = HEAD + name + b": %d\r\n\r\n" % len(body) + body
    arrived, request = add_in_pieces(data, size)
    assert len(data) <= arrived < len(data) + size
    assert (bytes(request.data), request.is_whole) == (data, True)
    if body:
        assert add_in_pieces(data[:-1], size)[0] is None


@given(size=st.integers(1, 40))
def test_a_request_without_a_body_ends_with_its_head(size):
    arrived, request = add_in_pieces(HEAD + b"\r\n", size)
    assert arrived >= len(HEAD) + 2
    assert request.is_whole


def test_what_follows_is_kept_for_the_next():
    request = Request()
    assert request.add(HEAD + b"Content-Length: 1\r\n\r\nxGET")
    assert request.data.endswith(b"xGET")


def test_a_long_body_is_received_and_not_kept():
    request = Request()
    length = HIGHEST_BODY + 1
    assert not request.add(HEAD + b"Content-Length: %d\r\n\r\n" % length)
    kept = len(request.data)
    assert not request.add(b"x" * (length - 1))
    assert request.add(b"x")
    assert len(request.data) == kept
    assert not request.is_whole


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: %d" % (HIGHEST_DISCARD + 1),
        b"Content-Length: 1000000000000000",
        b"Content-Length: -1",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length : 1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 1",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked",
    ],
)
def test_what_is_refused_anyway_is_not_waited_for(header):
    request = Request()
    assert request.add(HEAD + header + b"\r\n\r\n")
    assert not request.is_whole


def test_a_head_without_end_is_not_waited_for():
    request = Request()
    assert not request.add(b"x" * (HIGHEST_HEAD - 1))
    assert request.add(b"x")


def test_who_expects_to_be_told_to_go_on_is():
    request = Request()
    head = HEAD + b"Content-Length: 00000000000009\r\nExpect: 100-continue\r\n\r\n"
    assert not request.add(head)
    assert request.expects_continue
    request = Request()
    request.add(head.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert not request.expects_continue


def test_the_worker_and_the_service_refuse_the_same_lengths():
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == HIGHEST_BODY
    assert RequestLimitsMiddleware.HIGHEST_DISCARD == HIGHEST_DISCARD

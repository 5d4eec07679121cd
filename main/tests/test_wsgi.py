from contextlib import suppress

import pytest
from django.http import Http404
from django.test import RequestFactory
from django.urls import resolve

from main import wsgi


def resolved(path):
    request = RequestFactory().get(path)
    match = wsgi.application.resolve_request(request)
    assert request.resolver_match is match
    return match


@pytest.mark.parametrize(
    "path",
    ["/users/profile", "/conversations", "/users/contacts/view-user/bob", "/conversations/7/messages", "/admin/"],
)
def test_a_path_leads_where_djangos_handler_leads_to(path):
    for _ in range(2):
        match, expected = resolved(path), resolve(path)
        assert (match.func, match.args, match.kwargs) == (expected.func, expected.args, expected.kwargs)
        assert (match.route, match.app_name) == (expected.route, expected.app_name)


@pytest.fixture
def kept():
    wsgi.kept_match.cache_clear()
    return lambda: wsgi.kept_match.cache_info().currsize


def test_the_latest_paths_are_kept(kept):
    for _ in range(2):
        for number in range(1, 1200):
            assert resolved(f"/conversations/{number}/messages").kwargs == {"pk": number}
    assert kept() == 1000


@pytest.mark.parametrize("path", ["/users/contacts/view-user/" + "x" * 200, "/conversations/7/messages" + "/" * 200])
def test_a_long_path_is_not_kept(kept, path):
    with suppress(Http404):
        resolved(path)
    assert kept() == 0


def test_an_unknown_path_is_not_kept(kept):
    with pytest.raises(Http404):
        resolved("/no/such/path")
    assert kept() == 0

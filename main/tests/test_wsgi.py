import pytest
from django.http import Http404
from django.test import RequestFactory
from django.urls import resolve

from main.wsgi import application


def resolved(path):
    request = RequestFactory().get(path)
    match = application.resolve_request(request)
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


def test_only_paths_without_parameters_are_remembered(monkeypatch):
    monkeypatch.setattr(application, "matches", {})
    for name in ("bob", "charlie"):
        for path in ("/users/profile", f"/users/contacts/view-user/{name}"):
            resolved(path)
    assert list(application.matches) == ["/users/profile"]


def test_an_unknown_path_is_remembered_neither(monkeypatch):
    monkeypatch.setattr(application, "matches", {})
    with pytest.raises(Http404):
        resolved("/no/such/path")
    assert application.matches == {}

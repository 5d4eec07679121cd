import pytest
from django.http import HttpResponse
from django.urls import include, path

from common.access import public
from common.openapi import operations
from main import urls as main_urls


def plain_view(request):
    return HttpResponse(request.user.username)


urlpatterns = [
    path("", include("main.urls")),
    path("plain", plain_view),
    path("open", public(lambda request: HttpResponse("open"))),
]


@pytest.fixture
def _plain_view(settings):
    settings.ROOT_URLCONF = __name__


@pytest.mark.usefixtures("_plain_view")
def test_a_view_that_asks_for_nothing_is_closed_all_the_same(anonymous, as_alice):
    assert anonymous.get("/plain").status_code == 401
    assert as_alice.get("/plain").content == b"alice"


@pytest.mark.usefixtures("_plain_view")
@pytest.mark.parametrize("path", ["/admin/../plain", "/admin//plain", "/plain?/admin/", "/plain/admin/"])
def test_no_path_that_looks_open_is(anonymous, path):
    answer = anonymous.get(path)
    assert b"alice" not in answer.content
    assert answer.status_code in (302, 401, 404)


@pytest.mark.usefixtures("_plain_view")
def test_a_view_marked_as_public_is_open(anonymous):
    assert anonymous.get("/open").status_code == 200


def test_what_is_open_is_little(anonymous):
    opened = {"/", "/docs", "/schema", "/healthz", "/readyz", "/admin"}
    paths = {"/" + str(pattern.pattern) for pattern in main_urls.urlpatterns if not hasattr(pattern, "url_patterns")}
    assert {path for path in paths if anonymous.get(path).status_code != 401} == opened
    calls = {(method, path) for method, path, _, needs_token in operations() if not needs_token}
    open_calls = {"login", "register", "email/confirm", "password/forgot", "password/reset"}
    assert calls == {("POST", f"/users/{path}") for path in open_calls}


def test_a_stranger_is_not_told_where_nothing_is(anonymous, as_alice):
    assert anonymous.get("/nothing").status_code == 401
    assert as_alice.get("/nothing").status_code == 404


def test_the_admins_session_is_no_token(admin_client):
    assert admin_client.get("/admin/").status_code == 200
    assert admin_client.get("/users/profile").status_code == 401


def test_a_token_is_no_session(admin_user, client_of):
    answer = client_of(admin_user).get("/admin/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")


def test_the_api_sets_no_cookies(as_alice):
    assert not as_alice.get("/users/profile").cookies

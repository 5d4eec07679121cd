import pytest
from django.http import HttpResponse
from django.urls import include, path

from users import middleware


def plain_view(request):
    return HttpResponse(request.user.username)


urlpatterns = [path("", include("main.urls")), path("plain", plain_view)]


@pytest.fixture
def _plain_view(settings):
    settings.ROOT_URLCONF = __name__


@pytest.mark.usefixtures("_plain_view")
def test_a_view_that_asks_for_nothing_is_closed_all_the_same(anonymous, as_alice):
    assert anonymous.get("/plain").status_code == 401
    assert as_alice.get("/plain").content == b"alice"


@pytest.mark.usefixtures("_plain_view")
@pytest.mark.parametrize("path", ["/admin/../plain", "/admin//plain", "/plain?/admin/", "/plain/admin/"])
def test_the_list_of_open_paths_opens_no_other(anonymous, path):
    answer = anonymous.get(path)
    assert b"alice" not in answer.content
    assert answer.status_code in (302, 401, 404)


def test_the_list_of_open_paths_is_short():
    described = {"/", "/docs", "/schema", "/healthz", "/readyz"}
    assert described | {"/admin", "/users/login", "/users/register"} == middleware.OPEN_PATHS


def test_the_admins_session_is_no_token(admin_client):
    assert admin_client.get("/admin/").status_code == 200
    assert admin_client.get("/users/profile").status_code == 401


def test_a_token_is_no_session(admin_user, client_of):
    answer = client_of(admin_user).get("/admin/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")


def test_the_api_sets_no_cookies(as_alice):
    assert not as_alice.get("/users/profile").cookies

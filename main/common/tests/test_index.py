import re


def test_a_client_is_told_in_json_what_this_is(anonymous):
    answer = anonymous.get("/", HTTP_ACCEPT="*/*")
    assert answer.status_code == 200
    body = answer.json()
    assert list(body)[2:] == ["chat", "documentation", "schema", "admin", "calls"]
    assert body["chat"] == "http://testserver/chat"
    assert body["admin"] == "http://testserver/admin/"
    assert {"method": "DELETE", "path": "/users/profile", "meaning": "Delete your account"} in body["calls"]
    assert {call["path"] for call in body["calls"]}.isdisjoint({"/", "/healthz", "/readyz", "/docs", "/schema"})


def test_a_browser_gets_a_page(anonymous):
    answer = anonymous.get("/", HTTP_ACCEPT="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    page = answer.content.decode()
    assert "<h1>Chat server</h1>" in page
    assert re.search(r'href="(/[^"]*)"', page)[1] == "/chat"
    row = "<td><code>GET</code></td><td><code>/users/contacts/blacklist-user/&lt;username&gt;</code></td>"
    assert row in page


def test_it_says_whether_it_sends_mail(anonymous, settings):
    def page():
        texts = [anonymous.get("/", HTTP_ACCEPT=kind).content.decode() for kind in ("text/html", "application/json")]
        return ["This server sends no mail" in text for text in texts]

    assert page() == [True, True]
    settings.EMAIL_HOST = "mail.example.org"
    assert page() == [False, False]

def test_a_client_is_told_in_json_what_this_is(anonymous):
    answer = anonymous.get("/", HTTP_ACCEPT="*/*")
    assert answer.status_code == 200
    body = answer.json()
    assert body["admin"] == "http://testserver/admin/"
    assert {"method": "DELETE", "path": "/users/profile", "meaning": "Delete your account"} in body["calls"]
    assert {call["path"] for call in body["calls"]}.isdisjoint({"/", "/healthz", "/readyz", "/docs", "/schema"})


def test_a_browser_gets_a_page(anonymous):
    answer = anonymous.get("/", HTTP_ACCEPT="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    page = answer.content.decode()
    assert "<h1>Chat server</h1>" in page
    row = "<td><code>GET</code></td><td><code>/users/contacts/blacklist-user/&lt;username&gt;</code></td>"
    assert row in page

import pytest

SECRET = "the-text-of-a-message"


@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_conversations_and_members_are_shown_but_never_a_text(request, who, as_alice, private, group, talk):
    talk.send(as_alice, private, SECRET)
    client = request.getfixturevalue(who)
    pages = [
        client.get("/admin/"),
        client.get("/admin/conversations/conversation/"),
        client.get(f"/admin/conversations/conversation/{private}/change/"),
        client.get(f"/admin/conversations/conversation/{group}/change/"),
    ]
    for page in pages:
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
    assert "bob" in pages[2].content.decode()
    assert "Tea party" in pages[3].content.decode()
    assert client.get("/admin/conversations/message/").status_code == 404


def test_a_conversation_is_found_by_a_member(as_moderator, as_charlie, private, talk, alice):
    talk.open(as_charlie, "alice")
    page = as_moderator.get("/admin/conversations/conversation/?q=BOB")
    assert [conversation.pk for conversation in page.context["cl"].result_list] == [private]


@pytest.mark.parametrize("query", ["messages__text__startswith=t", "memberships__user__password__startswith=a"])
def test_no_text_can_be_guessed_at(as_moderator, private, query):
    assert as_moderator.get(f"/admin/conversations/conversation/?{query}").status_code == 400


def test_the_list_takes_the_same_queries_whatever_it_holds(
    as_moderator, as_alice, private, talk, charlie, django_assert_num_queries
):
    with django_assert_num_queries(6):
        as_moderator.get("/admin/conversations/conversation/")
    for _ in range(5):
        talk.group(as_alice, "bob", "charlie")
    with django_assert_num_queries(6):
        page = as_moderator.get("/admin/conversations/conversation/")
    assert [c.number_of_members for c in page.context["cl"].result_list] == [3, 3, 3, 3, 3, 2]


def test_nothing_can_be_changed(admin_client, private):
    for path in ("add/", f"{private}/delete/"):
        assert admin_client.post(f"/admin/conversations/conversation/{path}", {"post": "yes"}).status_code == 403
    answer = admin_client.post(f"/admin/conversations/conversation/{private}/change/", {"kind": "group"})
    assert answer.status_code == 403

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.test import Client

from conftest import PASSWORD, represent
from harness.smtp import code_of, text_of
from mail.models import Mail
from users import actions
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User

USERS = "/admin/users/user/"


def post_action(client, action, *users):
    return client.post(USERS, {"action": action, "_selected_action": [user.pk for user in users]}, follow=True)


def is_active(user):
    return User.objects.get(pk=user.pk).is_active


def listed(page):
    return [user.username for user in page.context["cl"].result_list]


def test_somebody_logs_in_with_name_and_password_whatever_the_case(moderator, db):
    client = Client()
    answer = client.post("/admin/login/?next=/admin/", {"username": "MODERATOR", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200


def test_an_ordinary_user_is_not_let_in(alice):
    client = Client()
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ALI", ["alice"]),
        ("liddell", ["alice"]),
        ("BOB@", ["bob"]),
        ("example.org bob", ["bob"]),
        ("_", []),
        ("zz", []),
    ],
)
def test_users_are_searched_by_name_and_address(as_moderator, alice, bob, query, found):
    assert listed(as_moderator.get(USERS, {"q": query})) == found


def test_users_are_filtered(as_moderator, moderator, alice, bob):
    bob.is_active = False
    bob.save()
    assert listed(as_moderator.get(USERS, {"is_active__exact": "0"})) == ["bob"]
    assert listed(as_moderator.get(USERS, {"is_staff__exact": "1"})) == ["moderator"]


def test_a_list_shows_and_filters_whose_address_is_verified(as_moderator, alice, bob, charlie):
    alice.set_email_verified(True)
    bob.set_email_verified(True)
    bob.set_email_verified(False)
    assert listed(as_moderator.get(USERS, {"verified": "yes"})) == ["alice"]
    assert listed(as_moderator.get(USERS, {"verified": "no"})) == ["bob", "charlie", "moderator"]
    assert len(listed(as_moderator.get(USERS, {"verified": "maybe"}))) == 4
    verified = {user.username: user.is_verified for user in as_moderator.get(USERS).context["cl"].result_list}
    assert verified == {"alice": True, "bob": False, "charlie": False, "moderator": False}


def test_the_list_counts_without_a_query_a_row(as_moderator, alice, bob, charlie, django_assert_num_queries):
    for user1, user2 in ((alice, bob), (alice, charlie), (bob, charlie)):
        ContactBookEntry.objects.create(user1=user1, user2=user2)
        BlacklistEntry.objects.create(user1=user2, user2=user1)
    with django_assert_num_queries(7) as few:
        page = as_moderator.get(USERS)
    counts = {
        user.username: (user.contacts, user.blacklisted, user.blacklisted_by) for user in page.context["cl"].result_list
    }
    assert counts == {"alice": (2, 0, 2), "bob": (1, 1, 1), "charlie": (0, 2, 0), "moderator": (0, 0, 0)}
    User.objects.bulk_create(User(username=f"user{n}", email=f"user{n}@example.org") for n in range(40))
    with django_assert_num_queries(len(few)):
        as_moderator.get(USERS)


def test_every_list_and_page_can_be_looked_at(as_moderator, alice, bob):
    AuthToken.objects.issue(alice)
    for model in (ContactBookEntry, BlacklistEntry):
        model.objects.create(user1=alice, user2=bob)
    for model in (User, ContactBookEntry, BlacklistEntry, AuthToken):
        name = model._meta.model_name
        assert as_moderator.get(f"/admin/users/{name}/").status_code == 200
        assert as_moderator.get(f"/admin/users/{name}/?q=ali").context["cl"].result_count == 1
        page = as_moderator.get(f"/admin/users/{name}/{model.objects.first().pk}/change/")
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()


@pytest.mark.parametrize("name", ["contactbookentry", "blacklistentry", "authtoken"])
def test_entries_and_tokens_are_read_only_for_superusers_too(admin_client, alice, bob, name):
    AuthToken.objects.issue(alice)
    for model in (ContactBookEntry, BlacklistEntry):
        model.objects.create(user1=alice, user2=bob)
    path = f"/admin/users/{name}/"
    model = next(m for m in (ContactBookEntry, BlacklistEntry, AuthToken) if m._meta.model_name == name)
    pk = model.objects.get().pk
    assert admin_client.get(path + "add/").status_code == 403
    assert admin_client.post(f"{path}{pk}/change/", {"user1": bob.pk, "user": bob.pk}).status_code == 403
    assert admin_client.post(f"{path}{pk}/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(path, {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert model.objects.filter(pk=pk).exists()


# Moderators


def test_a_moderator_deactivates_ordinary_users_and_their_tokens(as_moderator, moderator, alice, as_alice, as_bob, bob):
    page = post_action(as_moderator, "deactivate", alice)
    assert "1 deactivated." in page.content.decode()
    assert (is_active(alice), is_active(bob)) == (False, True)
    assert as_alice.get("/users/profile").status_code == 401
    assert as_bob.get("/users/profile").status_code == 200
    assert not AuthToken.objects.filter(user=alice).exists()
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (moderator, str(alice.pk), "Was deactivated.")


def test_a_moderator_touches_no_staff_and_not_themselves(as_moderator, moderator, admin_user, make_user):
    colleague = make_user("colleague", is_staff=True)
    hidden = make_user("hidden", is_superuser=True)
    page = post_action(as_moderator, "deactivate", moderator, colleague, admin_user, hidden)
    assert "4 left as they were" in page.content.decode()
    assert all(map(is_active, (moderator, colleague, admin_user, hidden)))


def test_a_moderator_reactivates_nobody(as_moderator, alice):
    alice.is_active = False
    alice.save()
    assert "reactivate" not in as_moderator.get(USERS).content.decode()
    post_action(as_moderator, "reactivate", alice)
    assert not is_active(alice)


@pytest.mark.parametrize("target", ["alice", "moderator"])
def test_a_moderator_changes_no_account(as_moderator, moderator, alice, target):
    user = {"alice": alice, "moderator": moderator}[target]
    before = User.objects.filter(pk=user.pk).values().get()
    form = {"username": "new", "email": "new@example.org", "is_staff": "on", "is_superuser": "on", "groups": [1]}
    path = f"{USERS}{user.pk}/"
    assert as_moderator.post(path + "change/", form).status_code == 403
    passwords = {"password1": "new-horse-battery", "password2": "new-horse-battery", "usable_password": "true"}
    assert as_moderator.get(path + "password/").status_code == 403
    assert as_moderator.post(path + "password/", passwords).status_code == 403
    assert as_moderator.post(path + "delete/", {"post": "yes"}).status_code == 403
    assert as_moderator.post(USERS + "add/", form | passwords).status_code == 403
    as_moderator.post(USERS, {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"})
    # The list has no fields to edit, whatever is posted.
    as_moderator.post(USERS, {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": user.pk, "_save": "Save"})
    assert User.objects.filter(pk=user.pk).values().get() == before
    assert User.objects.count() == 2


@pytest.mark.parametrize(
    "query",
    [
        "authtoken/?digest__startswith=a",
        "authtoken/?user__password__startswith=a",
        "user/?password__startswith=a",
        "user/?search_text__regex=(",
        "user/?auth_tokens__digest__startswith=a",
        "user/?date_joined__year=99999",
        "blacklistentry/?user1__password__startswith=a",
    ],
)
def test_nothing_hidden_can_be_guessed_at(as_moderator, query, caplog):
    assert as_moderator.get(f"/admin/users/{query}").status_code == 400
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("lookup", "moment"),
    [
        ("date_joined__gte", "9999-12-31 23:59:59-12:00"),
        ("last_login__lt", "0001-01-01 00:00:00+14:00"),
    ],
)
def test_a_moment_beyond_the_calendar_filters_nothing(as_moderator, alice, lookup, moment):
    page = as_moderator.get(USERS, {lookup: moment}, follow=True)
    assert page.redirect_chain == [(f"{USERS}?e=1", 302)]
    assert listed(page) == ["alice", "moderator"]


@pytest.mark.parametrize("page", ["user", "authtoken", "contactbookentry"])
@pytest.mark.parametrize("text", ["a " * 3000, "x" * 5000, "\x00", "%", "'\"\\"])
def test_an_odd_search_is_only_a_search(as_moderator, page, text):
    assert as_moderator.get(f"/admin/users/{page}/", {"q": text}).status_code == 200


@pytest.mark.parametrize("path", ["auth/group/", "auth/group/add/", "auth/group/1/change/", "auth/permission/"])
def test_a_moderator_sees_no_groups_and_no_permissions(as_moderator, path):
    assert as_moderator.get(f"/admin/{path}").status_code in (403, 404)
    assert as_moderator.post(f"/admin/{path}", {"name": "x"}).status_code in (403, 404)


def test_a_right_to_change_users_given_to_staff_is_no_way_up(as_moderator, moderator, alice):
    # Django's own admin would let its holder make anyone a superuser.
    moderator.user_permissions.set(Permission.objects.filter(content_type__model="user"))
    form = {
        "username": "moderator",
        "email": "m@example.org",
        "is_superuser": "on",
        "is_staff": "on",
        "is_active": "on",
    }
    assert as_moderator.post(f"{USERS}{moderator.pk}/change/", form).status_code == 403
    assert as_moderator.post(f"{USERS}{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    assert not User.objects.get(pk=moderator.pk).is_superuser


def test_the_groups_rights_are_to_look_and_to_deactivate(db):
    rights = Group.objects.get(name="Moderators").permissions.values_list("codename", flat=True)
    assert sorted(rights) == [
        "deactivate_user",
        "decide_report",
        "view_authtoken",
        "view_blacklistentry",
        "view_contactbookentry",
        "view_conversation",
        "view_decision",
        "view_membership",
        "view_report",
        "view_user",
        "view_usersettings",
    ]
    # Django finds its own by these names and makes no second ones.
    assert Permission.objects.filter(content_type__app_label="users", content_type__model="user").count() == 6


def test_a_deactivated_moderator_is_out_at_once(as_moderator, moderator):
    moderator.is_active = False
    moderator.save()
    assert as_moderator.get("/admin/").status_code == 302


# Superusers


def test_a_superuser_deactivates_and_reactivates_staff_too_but_not_themselves(admin_client, admin_user, moderator):
    post_action(admin_client, "deactivate", moderator, admin_user)
    assert (is_active(moderator), is_active(admin_user)) == (False, True)
    post_action(admin_client, "reactivate", moderator)
    assert is_active(moderator)


FORM = {
    "username": "alicia",
    "email": "alicia@example.org",
    "first_name": "",
    "last_name": "",
    "bio": "",
    "phone_number": "",
    "is_active": "on",
}


def test_a_superuser_changes_an_account_and_its_keys_follow(admin_client, alice, as_bob):
    answer = admin_client.post(f"{USERS}{alice.pk}/change/", FORM)
    assert answer.status_code == 302
    assert as_bob.get("/users/contacts/view-user/ALICIA").status_code == 200
    assert [user["username"] for user in as_bob.get("/users/contacts/find-users?search=alicia").json()] == ["alicia"]


@pytest.mark.parametrize(
    ("field", "value"), [("username", "BOB"), ("email", "Bob@example.org"), ("username", "a b"), ("bio", "a\x1bb")]
)
def test_a_superuser_is_told_what_is_taken_or_malformed(admin_client, alice, bob, field, value):
    page = admin_client.post(f"{USERS}{alice.pk}/change/", FORM | {field: value})
    assert page.status_code == 200
    assert list(page.context["adminform"].form.errors) == [field]
    assert User.objects.get(pk=alice.pk).username == "alice"


def test_a_name_taken_after_the_form_was_checked_is_a_message(admin_client, alice, bob, monkeypatch):
    monkeypatch.setattr(User, "clean", lambda self: None)
    page = admin_client.post(f"{USERS}{alice.pk}/change/", FORM | {"username": "BOB"}, follow=True)
    assert "This username is taken." in page.content.decode()
    assert User.objects.get(pk=alice.pk).username == "alice"


def test_an_account_deleted_meanwhile_is_left_out(admin_client, alice, bob, monkeypatch):
    deactivate = actions.deactivate

    def delete_alice_first(user):
        User.objects.filter(pk=alice.pk).delete()
        deactivate(user)

    monkeypatch.setattr(actions, "deactivate", delete_alice_first)
    page = post_action(admin_client, "deactivate", alice, bob)
    assert "1 deactivated." in page.content.decode()
    assert not is_active(bob)


def test_saving_changes_nothing_about_how_a_name_is_written(admin_client, make_user):
    user = make_user("eﬃe", email="Effie@EXAMPLE.org")
    admin_client.post(f"{USERS}{user.pk}/change/", FORM | {"username": user.username, "email": user.email})
    assert represent(User.objects.get(pk=user.pk)) == represent(user)


def test_deactivating_in_the_form_ends_the_tokens(admin_client, alice, as_alice):
    admin_client.post(f"{USERS}{alice.pk}/change/", {name: FORM[name] for name in FORM if name != "is_active"})
    assert not is_active(alice)
    assert not AuthToken.objects.exists()


def test_setting_a_password_ends_the_tokens(admin_client, alice, as_alice, anonymous):
    password = "another-horse-battery"
    form = {"password1": password, "password2": password, "usable_password": "true", "set-password": "1"}
    answer = admin_client.post(f"{USERS}{alice.pk}/password/", form)
    assert answer.status_code == 302
    assert as_alice.get("/users/profile").status_code == 401
    assert anonymous.post("/users/login", {"username": "alice", "password": password}).status_code == 200


def test_a_superuser_adds_an_account(admin_client, anonymous):
    password = "another-horse-battery"
    form = {"username": "new", "email": "new@example.org", "password1": password, "password2": password}
    page = admin_client.post(USERS + "add/", form | {"usable_password": "true"})
    assert page.status_code == 302
    assert anonymous.post("/users/login", {"username": "new", "password": password}).status_code == 200
    page = admin_client.post(USERS + "add/", form | {"usable_password": "true", "username": "NEW"})
    assert sorted(page.context["adminform"].form.errors) == ["email", "username"]


def test_a_superuser_sends_a_mail_to_set_a_new_password(admin_client, alice, bob, charlie, anonymous, send_mails):
    bob.is_active = False
    bob.save()
    page = post_action(admin_client, "send_reset", alice, bob)
    assert "1 mail will be sent." in page.content.decode()
    [mail] = send_mails()
    assert mail.recipients == ["alice@example.org"]
    assert "The operators of the server have sent it" in text_of(mail)
    body = {"code": code_of(mail), "new_password": "battery-staple-horse"}
    assert anonymous.post("/users/password/reset", body).status_code == 200


def test_a_moderator_sends_no_such_mail(as_moderator, alice, mail_server):
    assert "send_reset" not in as_moderator.get(USERS).content.decode()
    post_action(as_moderator, "send_reset", alice)
    assert not Mail.objects.exists()


def test_without_a_mail_server_there_is_no_such_action(admin_client, alice):
    assert "send_reset" not in admin_client.get(USERS).content.decode()


def test_a_superuser_sees_the_outbox_and_changes_nothing_there(admin_client, as_moderator, alice, mail_server):
    actions.send_reset_by_operator(alice)
    pk = Mail.objects.get().pk
    assert "alice@example.org" in admin_client.get("/admin/mail/mail/").content.decode()
    assert admin_client.get(f"/admin/mail/mail/{pk}/change/").status_code == 200
    assert admin_client.post(f"/admin/mail/mail/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert as_moderator.get("/admin/mail/mail/").status_code == 403


def test_a_superuser_deletes_accounts(admin_client, alice, bob, charlie, as_alice, upkeep):
    ContactBookEntry.objects.create(user1=alice, user2=bob)
    BlacklistEntry.objects.create(user1=bob, user2=alice)
    admin_client.post(f"{USERS}{alice.pk}/delete/", {"post": "yes"})
    form = {"action": "delete_selected", "_selected_action": [bob.pk], "post": "yes"}
    admin_client.post(USERS, form)
    upkeep()
    assert sorted(User.objects.values_list("username", flat=True)) == ["admin", "charlie"]


def test_a_superuser_is_made_on_the_command_line(db, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", interactive=False, username="root", email="root@example.org", verbosity=0)
    assert User.objects.get(username_key="root").is_superuser
    for username, email in (("ROOT", "other@example.org"), ("other", "Root@example.org")):
        with pytest.raises(CommandError, match="taken"):
            call_command("createsuperuser", interactive=False, username=username, email=email, verbosity=0)

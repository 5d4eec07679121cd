"""How MariaDB goes about the queries of each call, in tables large enough that the way matters."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.models import Conversation, Membership, Message
from moderation.models import Report
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User
from users.search import SearchEntry

PEOPLE = 300
MESSAGES = 4000
MESSAGES_TABLE, ENTRIES_TABLE = Message._meta.db_table, SearchEntry._meta.db_table


# ANALYZE TABLE ends a transaction.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def crowd(alice, bob, as_alice):
    """Many people who know, talk with and blacklist each other; alice has a private conversation with bob, id 1st."""
    User.objects.bulk_create(User(username=f"user{n}", email=f"user{n}@example.org") for n in range(PEOPLE))
    people = list(User.objects.exclude(pk__in=[alice.pk, bob.pk]))
    SearchEntry.objects.add((rank, text, user.pk) for user in people for rank, text in user.entries)
    AuthToken.objects.bulk_create(AuthToken(user=user, digest=f"{user.pk:064}") for user in people)
    for model in (ContactBookEntry, BlacklistEntry):
        pairs = [(one, other) for one in people for other in people[:5] if one != other]
        model.objects.bulk_create(model(user1=one, user2=other) for one, other in pairs)
    ContactBookEntry.objects.bulk_create(ContactBookEntry(user1=alice, user2=user) for user in people[:30])

    first = as_alice.post("/conversations/private/bob").json()["id"]
    groups = [Conversation(kind="group", name="x", owner=user, last_number=1) for user in people]
    Conversation.objects.bulk_create(groups)
    groups = list(Conversation.objects.filter(kind="group"))
    memberships = [Membership(conversation=group, user=group.owner) for group in groups]
    memberships += [Membership(conversation=group, user=alice) for group in groups[:20]]
    Membership.objects.bulk_create(memberships)
    messages = [Message(conversation=group, number=1, sender=group.owner, text="x") for group in groups]
    messages += [Message(conversation_id=first, number=n, sender=alice, text="x") for n in range(1, MESSAGES + 1)]
    Message.objects.bulk_create(messages)
    Message.objects.filter(conversation=first, number=3000).update(sender=bob)
    Conversation.objects.filter(pk=first).update(last_number=MESSAGES)
    reports = [
        Report(reporter=user, reported=bob, username="bob", reason="spam", open_key=f"{user.pk} {n}")
        for user in (alice, *people)
        for n in range(5)
    ]
    Report.objects.bulk_create(reports)
    models = (User, SearchEntry, AuthToken, ContactBookEntry, BlacklistEntry, Conversation, Membership, Message, Report)
    if connection.vendor == "mysql":  # SQLite has no statistics, as in a database that was never analysed
        with connection.cursor() as cursor:
            for model in models:
                cursor.execute(f"ANALYZE TABLE {model._meta.db_table}")
                cursor.fetchall()
    return first


CALLS = [
    ("get", "/users/profile", None),
    ("put", "/users/profile", {"bio": "x"}),
    ("get", "/users/contacts/view-user/bob", None),
    ("get", "/users/contacts/blacklist-user/bob", None),
    ("post", "/users/contacts/blacklist-user/user7", None),
    ("delete", "/users/contacts/contact-book/user7", None),
    ("get", "/users/contacts/contact-book", None),
    ("get", "/users/contacts/find-users", None),
    ("get", "/users/contacts/find-users?search=user7", None),
    ("get", "/users/contacts/find-users?search=7", None),
    ("get", "/users/contacts/find-users?search=r1 example 9@", None),
    ("post", "/users/contacts/contact-book/bob", None),
    ("get", "/conversations", None),
    ("get", "/conversations/{first}", None),
    ("post", "/conversations/private/user9", None),
    ("post", "/conversations/groups", {"name": "x", "members": ["bob", "user8", "user9"]}),
    ("get", "/conversations/{first}/messages", None),
    ("get", "/conversations/{first}/messages?before=2000&limit=10", None),
    ("get", "/conversations/{first}/messages?after=2000&limit=10", None),
    ("post", "/conversations/{first}/messages", {"text": "x", "client_id": "1"}),
    ("put", "/conversations/{first}/messages/2000", {"text": "x"}),
    ("delete", "/conversations/{first}/messages/2000", None),
    ("post", "/conversations/{first}/read", {"number": 2000}),
    ("post", "/reports", {"username": "bob", "reason": "spam"}),
    ("post", "/reports", {"username": "bob", "reason": "other", "conversation": "{first}", "number": 3000}),
    ("get", "/reports", None),
    ("get", "/reports?limit=10", None),
    ("post", "/users/logout-all", None),
]


def filled(body, first):
    return body and {name: first if value == "{first}" else value for name, value in body.items()}


def plan(sql):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql.replace("%", "%%"))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def sqlite_plan(sql):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + sql.replace("%", "%%"))
        return [detail for *_, detail in cursor.fetchall()]


def statements_of(client, method, path, body):
    """The statements of the call that read or change rows."""
    with CaptureQueriesContext(connection) as captured:
        answer = getattr(client, method)(path, body)
    assert answer.status_code < 300, answer.content
    statements = [query["sql"].strip() for query in captured]
    statements = [sql for sql in statements if sql.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert statements
    return statements


def steps_of(client, method, path, body):
    """How MariaDB goes about each statement of the call: (sql, table, type, extra)."""
    statements = statements_of(client, method, path, body)
    return [(sql, step["table"] or "", step["type"], step["Extra"] or "") for sql in statements for step in plan(sql)]


def test_no_call_reads_a_whole_table_or_sorts_messages(crowd, as_alice, subtests):
    if connection.vendor != "mysql":
        pytest.skip("The next test is about SQLite's plans.")
    # The people are made once: that takes longer than all the calls.
    for method, path, body in CALLS:
        with subtests.test(method=method, path=path):
            for sql, table, type, extra in steps_of(as_alice, method, path.format(first=crowd), filled(body, crowd)):
                # "ALL" is a whole table, "index" a whole index; to read the few rows of a subquery is neither.
                assert type not in ("ALL", "index") or table.startswith("<derived"), (sql, table)
                assert "filesort" not in extra or table not in (MESSAGES_TABLE, ENTRIES_TABLE), sql


def test_on_sqlite_no_call_reads_a_whole_table_either(crowd, as_alice, subtests):
    if connection.vendor != "sqlite":
        pytest.skip("This is about SQLite's plans.")
    for method, path, body in CALLS:
        with subtests.test(method=method, path=path):
            for sql in statements_of(as_alice, method, path.format(first=crowd), filled(body, crowd)):
                for detail in sqlite_plan(sql):
                    # To read the few rows of a subquery is no scan of a table.
                    assert not detail.startswith("SCAN") or detail in ("SCAN CONSTANT ROW", "SCAN subquery"), sql
                    # Of this index one entry is half of the table.
                    assert "users_user_deleted_at" not in detail, (detail, sql)


def test_a_plan_tells_that_a_whole_table_is_read(crowd):
    if connection.vendor == "sqlite":
        assert sqlite_plan("SELECT * FROM users_user WHERE bio LIKE '%x%'")[0].startswith("SCAN")
        return
    assert plan("SELECT * FROM users_user WHERE bio LIKE '%x%'")[0]["type"] == "ALL"

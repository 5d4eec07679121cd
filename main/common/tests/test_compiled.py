"""Compiled queries find and change what the same querysets do."""

import gc
import importlib
import weakref
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from common import compiled as compiled_queries
from common.compiled import Compiled, Insert, Update, compiled
from common.models import Lease, RateCounter
from common.statements import run_together

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def counters():
    rows = [RateCounter(key=f"k{n}", count=n, expires_at=NOW + timedelta(seconds=n)) for n in range(8)]
    return RateCounter.objects.bulk_create(rows)


@compiled
def expiring_after(moment: datetime, *, limit: int):
    return RateCounter.objects.filter(expires_at__gt=moment).order_by("count").values_list("key", "expires_at")[:limit]


@compiled
def counted(counts: Sequence[int]):
    return RateCounter.objects.filter(count__in=counts).order_by("count").values_list("count")


@compiled
def containing(text: str):
    return RateCounter.objects.filter(key__contains=text).values_list("key")


@compiled
def beyond(count: int):
    return RateCounter.objects.filter(count__gt=count).values_list("key")


def test_the_rows_are_those_of_the_queryset(counters):
    queryset = RateCounter.objects.filter(expires_at__gt=NOW + timedelta(seconds=3)).order_by("count")
    expected = list(queryset.values_list("key", "expires_at")[:2])
    assert expiring_after(NOW + timedelta(seconds=3), limit=2) == expected
    assert [key for key, _ in expected] == ["k4", "k5"]


def test_a_query_is_composed_once_and_run_with_new_values(counters):
    composed = []

    @compiled
    def of_key(key: str):
        composed.append(key)
        return RateCounter.objects.filter(key=key).values_list("count")

    assert [of_key(f"k{n}") for n in range(8)] == [[(n,)] for n in range(8)]
    assert of_key("k9") == []
    assert len(composed) == 1


def test_what_comes_after_the_star_is_a_part_of_the_query(counters):
    assert [len(expiring_after(NOW, limit=limit)) for limit in (1, 2, 1, 7)] == [1, 2, 1, 7]


@pytest.mark.parametrize("counts", [[1], [1, 2], [1, 2, 3], [5, 2, 7, 0, 3], range(8)])
def test_a_list_may_have_any_length(counters, counts):
    assert counted(list(counts)) == [(count,) for count in sorted(counts)]


def test_lists_of_like_lengths_share_a_query(counters):
    numbers = {len(statement.parameters) for n in range(1, 9) if (statement := _compiled_for(list(range(n))))}
    assert numbers == {1, 2, 4, 8}


def _compiled_for(counts):
    counted.statements.clear()
    counted(counts)
    return next(iter(counted.statements.values()))


def test_nothing_is_in_an_empty_list(counters, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert counted([]) == []


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "%s", "🦊", "1"])
def test_a_text_means_itself(counters, text):
    RateCounter.objects.create(key=f"a{text}b", count=1, expires_at=NOW)
    expected = set(RateCounter.objects.filter(key__contains=text).values_list("key"))
    assert set(containing(text)) == expected != set()


def test_booleans_and_subqueries_are_as_in_the_queryset(counters):
    def described(count):
        same = RateCounter.objects.filter(count=OuterRef("count"), key="k3")
        is_high = ExpressionWrapper(Q(count__gte=count), output_field=BooleanField())
        return RateCounter.objects.order_by("count").values_list("key", Exists(same), is_high)

    @compiled
    def query(count: int):
        return described(count)

    assert query(5) == list(described(5))
    assert ("k3", True, False) in query(5)


def test_none_is_refused_where_the_hint_does_not_say_it():
    with pytest.raises(TypeError, match="count must not be None"):
        beyond(None)


@pytest.mark.parametrize("number", [1 << 63, 1 << 64, 10**30])
def test_a_number_that_no_column_holds_finds_nothing(counters, number):
    assert beyond(number) == []


def test_a_number_that_no_column_holds_is_not_written():
    @compiled
    def insert(key: str, count: int, expires_at: datetime):
        return Insert(RateCounter(key=key, count=count, expires_at=expires_at))

    with pytest.raises((OverflowError, DatabaseError)), transaction.atomic():
        insert("k", 1 << 64, NOW)
    assert not RateCounter.objects.exists()


@compiled
def insert_counter(key: str, count: int, expires_at: datetime):
    return Insert(RateCounter(key=key, count=count, expires_at=expires_at))


@compiled
def set_count(key: str, count: int):
    return Update(RateCounter.objects.filter(key=key), {"count": count})


def test_writes_run_together_in_their_order(django_assert_num_queries):
    with django_assert_num_queries(1 if connection.vendor == "mysql" else 4):
        changed = run_together(
            set_count.bind("a", 5),
            insert_counter.bind("a", 1, NOW),
            insert_counter.bind("'; --%s", 2, NOW),
            set_count.bind("a", 7),
        )
    assert changed == [0, 1, 1, 1]
    assert dict(RateCounter.objects.values_list("key", "count")) == {"a": 7, "'; --%s": 2}


@pytest.mark.parametrize("place", range(3))
def test_an_error_in_one_of_them_is_that_of_the_database_and_undoes_all(counters, place):
    writes = [set_count.bind(f"k{n}", 100) for n in range(2)]
    writes.insert(place, insert_counter.bind("k7", 1, NOW))
    with pytest.raises(IntegrityError), transaction.atomic():
        run_together(*writes)
    assert not RateCounter.objects.filter(count=100).exists()
    assert run_together(set_count.bind("k1", 3)) == [1]


def test_the_number_of_arguments_must_be_right():
    with pytest.raises(ValueError, match="zip"):
        beyond()
    with pytest.raises(ValueError, match="zip"):
        beyond(count=1)


def test_a_lookup_that_prepares_its_value_is_refused():
    @compiled
    def query(key: str):
        return RateCounter.objects.filter(key__iexact=key).values_list("key")

    with pytest.raises(TypeError, match="needs the value itself"):
        query("k1")


def test_a_query_keeps_a_bounded_number_of_statements(counters, monkeypatch):
    monkeypatch.setattr(compiled_queries, "MOST", 3)
    assert [len(expiring_after(NOW, limit=limit)) for limit in (1, 2, 3, 4, 5, 1)] == [1, 2, 3, 4, 5, 1]
    assert len(expiring_after.statements) <= 3


def test_a_query_keeps_nothing_of_the_connection_on_which_it_was_composed():
    """The thread may end, and its connection with it."""
    used = []

    def first():
        used.append(weakref.ref(connections["default"]))
        expiring_after(NOW, limit=99)
        connections["default"].close()

    thread = Thread(target=first)
    thread.start()
    thread.join()
    gc.collect()
    assert used[0]() is None


@pytest.mark.django_db(transaction=True)
def test_rows_are_locked_in_a_transaction_alone(counters):
    if not connection.features.has_select_for_update:
        pytest.skip("SQLite has one lock for all.")

    @compiled
    def locked(key: str):
        return RateCounter.objects.filter(key=key).select_for_update().values_list("count")

    for _ in range(2):
        with transaction.atomic():
            assert locked("k3") == [(3,)]
        with pytest.raises(TransactionManagementError):
            locked("k3")


def test_an_update_tells_how_many_rows_it_changed(counters):
    @compiled
    def add(key: str, more: int, moment: datetime):
        return Update(RateCounter.objects.filter(key=key), {"count": F("count") + more, "expires_at": moment})

    later = NOW + timedelta(days=1)
    assert add("k3", 5, later) == 1
    assert add("nothing", 5, later) == 0
    changed = RateCounter.objects.get(key="k3")
    assert (changed.count, changed.expires_at) == (8, later)
    assert RateCounter.objects.get(key="k4").count == 4


def test_an_insert_makes_the_row():
    @compiled
    def insert(name: str, until: datetime):
        return Insert(Lease(name=name, holder="it's % me", until=until))

    assert insert("work", NOW) == 1
    assert list(Lease.objects.values_list("name", "holder", "until")) == [("work", "it's % me", NOW)]


SAMPLES = {str: "x", int: 0, bool: True, datetime: NOW}


def all_of_the_service():
    main = Path(__file__).resolve().parents[2]
    for path in sorted(main.glob("*/*.py")):
        if "import compiled" in path.read_text() or "compiled\n" in path.read_text():
            module = importlib.import_module(f"{path.parent.name}.{path.stem}")
            yield from (each for each in vars(module).values() if isinstance(each, Compiled))


@pytest.mark.parametrize("query", sorted(set(all_of_the_service()), key=lambda query: query.__qualname__))
def test_every_query_of_the_service_is_compiled_and_run(query):
    """A release of Django that composes queries in another way fails here, and not at the first call."""
    code = query.function.__code__
    parts = dict.fromkeys(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount], 3)
    parts = {name: (0, 1) if name == "ranks" else value for name, value in parts.items()}
    values = [[0, 1, 2] if each.is_list else SAMPLES[_type_of(each)] for each in query.parameters]
    with transaction.atomic(), connection.constraint_checks_disabled():
        before = dict(query.statements)
        query.statements.clear()
        query(*values, **parts)
        assert len(query.statements) == 1
        query.statements.update(before)
        transaction.set_rollback(True)


def _type_of(parameter):
    from common.statements import FIELDS

    return next(kind for kind, field in FIELDS.items() if isinstance(parameter.field, field))

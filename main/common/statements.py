"""SQL with places for values, which can be run on any connection, in any thread. `common.compiled` makes it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

FIELDS = {int: models.BigIntegerField, str: models.TextField, bool: models.BooleanField, datetime: models.DateTimeField}


class Placeholder(models.Expression):
    """Stands for a value: the index is its place among all values of a call."""

    def __init__(self, index: int, output_field: "models.Field[Any, Any]") -> None:
        super().__init__(output_field)
        self.index = index

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [self]

    def __str__(self) -> str:
        raise TypeError("A lookup that prepares its value needs the value itself.")


class Parameter:
    """A parameter of a function that makes a query, by its type hint."""

    def __init__(self, name: str, hint: Any) -> None:
        self.name = name
        kinds = set(get_args(hint)) if NoneType in get_args(hint) else {hint}
        self.may_be_none = NoneType in kinds
        [hint] = kinds - {NoneType}
        self.is_list = get_origin(hint) is Sequence
        kind = get_args(hint)[0] if self.is_list else hint
        self.field = FIELDS[kind]()
        self.is_plain = not self.is_list and kind is not datetime  # its value is passed as it is

    def values_of(self, argument: Any, database: BaseDatabaseWrapper) -> list[Any]:
        values = list(argument) if self.is_list else [argument]
        if self.is_list and values:
            # Repeated up to a power of two, so that a query is not compiled for every length of a list.
            values += values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))
        if isinstance(self.field, models.DateTimeField):
            return [database.ops.adapt_datetimefield_value(value) for value in values]
        return values


class Statement(NamedTuple):
    sql: str
    parameters: list[Any]  # placeholders, and values of the query's own
    # What makes Python's values of the database's: by column, names of functions of the backend, and other functions.
    # Nothing here refers to the connection on which the query was composed: its thread may end. None for a write.
    converters: list[tuple[int, list[Any], Any]] | None
    locks: bool = False

    def run(self, values: Sequence[Any], database: BaseDatabaseWrapper) -> Any:
        if self.locks and database.get_autocommit():
            raise TransactionManagementError("Rows can be locked in a transaction alone.")
        with database.cursor() as cursor:
            cursor.execute(self.sql, self.with_values(values))
            return cursor.rowcount if self.converters is None else self.converted(cursor.fetchall(), database)

    def with_values(self, values: Sequence[Any]) -> list[Any]:
        return [values[each.index] if type(each) is Placeholder else each for each in self.parameters]

    def converted(self, rows: Sequence[Any], database: BaseDatabaseWrapper) -> list[tuple[Any, ...]]:
        found = [list(row) for row in rows] if self.converters else rows
        for column, converters, expression in self.converters or ():
            for each in converters:
                convert = getattr(database.ops, each) if isinstance(each, str) else each
                for row in found:
                    row[column] = convert(row[column], expression, database)
        return list(map(tuple, found))


NOTHING = Statement("", [], [])  # for a query that can find nothing


class Bound(NamedTuple):
    statement: Statement
    values: list[Any]


# What a write is on a database.
Write = Callable[[BaseDatabaseWrapper], Bound]


def run_together(*writes: Write) -> list[int]:
    """Run the writes in their order; return how many rows each of them changed.

    On MySQL and MariaDB they are sent at once. So what the transaction has locked is not held while other threads of
    this process have their turns in between.
    """
    database = connections[DEFAULT_DB_ALIAS]
    takes_several = database.vendor == "mysql"
    bound = [write(database) for write in writes]
    statements = [(statement.sql, statement.with_values(values)) for statement, values in bound]
    if takes_several:
        every_sql, every_values = zip(*statements, strict=True)
        statements = [("; ".join(every_sql), list(chain(*every_values)))]
    changed: list[int] = []
    with database.cursor() as cursor:
        for sql, values in statements:
            cursor.execute(sql, values)
            changed.append(cursor.rowcount)
            while takes_several and cursor.nextset():
                changed.append(cursor.rowcount)
    return changed

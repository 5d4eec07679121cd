"""Queries that are compiled once.

The ORM composes the SQL of a query anew each time it is run, which takes longer than the database takes to answer. A
function marked as `compiled` makes a queryset of its parameters. It is called once, with a placeholder for each of
them, and its SQL is kept. Each call then runs this SQL with its values:

    @compiled
    def numbers_after(conversation_id: int, number: int, *, limit: int) -> QuerySet[Message, tuple[int]]:
        return Message.objects.filter(conversation=conversation_id, number__gt=number).values_list("number")[:limit]

    numbers_after(5, 100, limit=50)  # [(101,), (102,), …]

- The hints of the parameters say how values are passed to the database: int, str, bool, datetime, or a Sequence of one
  of these for a lookup such as `id__in`. A value may be None only if the hint says so, since in a filter it matches
  nothing. Neither does a number of more than 64 bits, which no column holds.
- What comes after `*` is a part of the query, which is compiled for each of its values.
- The rows of a queryset are tuples, as `values_list` gives them. `Update` and `Insert` return how many rows changed.
- `run_together` of common.statements runs several writes, each made by `bind`, which takes the arguments of a call.
"""

from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from itertools import count
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, overload

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import InsertQuery, UpdateQuery

from common.statements import NOTHING, Bound, Parameter, Placeholder, Statement, Write

# Statements that are kept of a query.
MOST = 500

Arguments = ParamSpec("Arguments")
Row = TypeVar("Row")
Result = TypeVar("Result")


class Update(NamedTuple):
    queryset: models.QuerySet[Any]
    values: dict[str, Any]

    def as_query(self) -> Any:
        query: Any = self.queryset.query.chain(UpdateQuery)
        query.add_update_values(self.values)
        return query


class Insert(NamedTuple):
    instance: models.Model

    def as_query(self) -> InsertQuery:
        meta = self.instance._meta
        query = InsertQuery(type(self.instance))
        query.insert_values([field for field in meta.concrete_fields if field is not meta.auto_field], [self.instance])
        return query


class Compiled(Generic[Arguments, Result]):
    """What `compiled` makes of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.function = function
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        self.parameters = [Parameter(name, function.__annotations__[name]) for name in names]
        self.statements: dict[tuple[Any, ...], Statement] = {}

    def __call__(self, *arguments: Arguments.args, **parts: Arguments.kwargs) -> Result:
        database = connections[DEFAULT_DB_ALIAS]
        no_rows: Any = []
        statement, values = self._bind(database, arguments, parts)
        if statement is NOTHING:
            return no_rows
        try:
            return statement.run(values, database)
        except OverflowError:  # SQLite's for a number of more than 64 bits
            if statement.converters is None:  # which must not look as if it was written
                raise
            return no_rows

    def bind(self, *arguments: Arguments.args, **parts: Arguments.kwargs) -> Write:
        """The write of a call, which is not run, and whose arguments are not checked before it is."""
        return partial(self._bind, arguments=arguments, parts=parts)

    def _bind(self, database: BaseDatabaseWrapper, arguments: Sequence[Any], parts: dict[str, Any]) -> Bound:
        values: list[Any] = []
        lengths: list[int] = []
        for parameter, argument in zip(self.parameters, arguments, strict=True):
            if argument is None and not parameter.may_be_none:
                raise TypeError(f"{parameter.name} must not be None.")
            if parameter.is_plain:
                values.append(argument)
                lengths.append(1)
            else:
                prepared = parameter.values_of(argument, database)
                values += prepared
                lengths.append(len(prepared))
        key = (database.vendor, *lengths, *parts.items())
        statement = self.statements.get(key)
        if statement is None:
            if len(self.statements) >= MOST:
                self.statements.clear()
            statement = self.statements[key] = self.compile(lengths, parts, database)
        return Bound(statement, values)

    def compile(self, lengths: Sequence[int], parts: dict[str, Any], database: BaseDatabaseWrapper) -> Statement:
        """The statement for lists of these lengths."""
        indexes = count()
        arguments: list[Any] = []
        for parameter, length in zip(self.parameters, lengths, strict=True):
            placeholders = [Placeholder(next(indexes), parameter.field) for _ in range(length)]
            arguments.append(placeholders if parameter.is_list else placeholders[0])
        described = self.function(*arguments, **parts)
        query = described.query if isinstance(described, models.QuerySet) else described.as_query()
        compiler = query.get_compiler(connection=database)
        try:
            composed = compiler.as_sql()
        except EmptyResultSet:
            return NOTHING
        [(sql, parameters)] = composed if isinstance(described, Insert) else [composed]
        if not isinstance(described, models.QuerySet):
            return Statement(sql, list(parameters), None)
        converters = compiler.get_converters([column for column, *_ in compiler.select[: compiler.col_count]])
        free = [(column, [free_of(database, each) for each in all_], of) for column, (all_, of) in converters.items()]
        locks = query.select_for_update and database.features.has_select_for_update
        return Statement(sql, list(parameters), free, locks)


def free_of(database: BaseDatabaseWrapper, converter: Any) -> Any:
    return converter.__name__ if getattr(converter, "__self__", None) is database.ops else converter


@overload
def compiled(function: Callable[Arguments, models.QuerySet[Any, Row]]) -> Compiled[Arguments, list[Row]]: ...
@overload
def compiled(function: Callable[Arguments, Update | Insert]) -> Compiled[Arguments, int]: ...
def compiled(function: Callable[..., Any]) -> Any:
    """Compile the query of the function once, and run it at every call."""
    return Compiled(function)

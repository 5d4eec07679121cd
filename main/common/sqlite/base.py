"""Django's backend for SQLite, with a queue for all who write. Those who read do not wait."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base, creation

from common.turns import Place, Queue, queue_for

# Statements that take SQLite's lock for writing. One with a comment in front is not known as such: it waits as SQLite
# lets it.
WRITES = re.compile(
    r"\s*(INSERT|REPLACE|UPDATE|DELETE|CREATE|ALTER|DROP|REINDEX|ANALYZE|BEGIN\s+(IMMEDIATE|EXCLUSIVE)"
    r"|WITH\b.*\b(INSERT|REPLACE|UPDATE|DELETE)\s)",
    re.IGNORECASE | re.DOTALL,
)


class Connection(sqlite3.Connection):
    """Takes its turn before it writes, and gives it back as soon as it is in no transaction."""

    queue: Queue | None = None
    patience = 0.0
    turn: Place | None = None

    def take_turn(self) -> None:
        if self.queue:
            self.turn = self.queue.take(self.patience)
            if self.turn is None:
                raise sqlite3.OperationalError("database is locked")

    def give_turn_back(self) -> None:
        turn, self.turn = self.turn, None
        if self.queue and turn:
            self.queue.give_back(turn)

    def give_turn_back_if_done(self) -> None:
        if self.turn and not self.in_transaction:
            self.give_turn_back()

    def commit(self) -> None:
        try:
            super().commit()
        finally:
            self.give_turn_back_if_done()

    def rollback(self) -> None:
        try:
            super().rollback()
        finally:
            self.give_turn_back_if_done()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.give_turn_back()

    def __del__(self) -> None:
        # Of a thread that has ended within a transaction.
        if self.turn:
            self.close()


@lru_cache(500)
def with_question_marks(query: str) -> str:
    """The query as SQLite takes it. Django converts each anew; of compiled queries that is a tenth of the time."""
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class Cursor(base.SQLiteCursorWrapper):
    connection: Connection

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        return (
            with_question_marks(query) if param_names is None else super().convert_query(query, param_names=param_names)
        )

    def execute(self, query: str, params: Any = None) -> Any:
        return self._in_turn(super().execute, query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        return self._in_turn(super().executemany, query, param_list)

    def _in_turn(self, run: Callable[[str, Any], Any], query: str, params: Any) -> Any:
        if not self.connection.turn:
            if not WRITES.match(query):
                return run(query, params)
            self.connection.take_turn()
        try:
            return run(query, params)
        finally:
            # Outside of a transaction a statement with rows (RETURNING) is committed once its cursor is read or closed.
            if not self.description:
                self.connection.give_turn_back_if_done()

    def close(self) -> None:
        try:
            super().close()
        finally:
            if self.description:
                self.connection.give_turn_back_if_done()

    def __del__(self) -> None:
        with suppress(sqlite3.Error):
            self.close()


class DatabaseCreation(creation.DatabaseCreation):
    def destroy_test_db(
        self,
        old_database_name: str | None = None,
        verbosity: int = 1,
        keepdb: bool = False,
        suffix: str | None = None,
    ) -> None:
        """Remove the files beside the database, too."""
        settings = self.get_test_db_clone_settings(suffix) if suffix else self.connection.settings_dict
        name = settings["NAME"]
        super().destroy_test_db(old_database_name, verbosity, keepdb, suffix)
        if not keepdb and not self.is_in_memory_db(name):
            for kind in ("wal", "shm", "turns"):
                Path(f"{name}-{kind}").unlink(missing_ok=True)


class DatabaseWrapper(base.DatabaseWrapper):
    creation_class = DatabaseCreation

    def get_connection_params(self) -> dict[str, Any]:
        return {"factory": Connection, "timeout": 5.0} | super().get_connection_params()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        connection = super().get_new_connection(conn_params)
        [(_, _, path), *_] = connection.execute("PRAGMA database_list").fetchall()
        if path:  # and not in memory
            connection.queue, connection.patience = queue_for(path), conn_params["timeout"]
        return connection

    def create_cursor(self, name: str | None = None) -> Cursor:
        return self.connection.cursor(factory=Cursor)

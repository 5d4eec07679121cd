"""Django's backend for MySQL and MariaDB, with one way to the database less for each transaction."""

from django.db.backends.mysql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def _set_autocommit(self, autocommit: bool) -> None:
        """Begin a transaction by BEGIN, after which the database commits by itself again.

        Django switches that off for each transaction, and on again after it.
        """
        if autocommit:
            # This asks nothing of the database where it is on.
            super()._set_autocommit(True)  # type: ignore[misc]
        else:
            with self.wrap_database_errors:
                self.connection.begin()

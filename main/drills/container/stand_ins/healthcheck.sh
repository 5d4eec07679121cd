#!/bin/sh
# Green once the server answers on the network with the account; the options of the official script are taken.
exec mariadb --no-defaults --host=127.0.0.1 --user="$MARIADB_USER" --password="$MARIADB_PASSWORD" --execute='DO 1'

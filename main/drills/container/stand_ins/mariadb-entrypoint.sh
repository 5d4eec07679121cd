#!/bin/sh
# Does what compose.yaml expects of the official image: a database and an account at the first start.
set -eu
data=/var/lib/mysql
if [ ! -d "$data/mysql" ]; then
    chown mysql "$data"
    mariadb-install-db --no-defaults --user=mysql --datadir="$data" --skip-test-db >/dev/null
fi
cat >/run/mysqld/init.sql <<SQL
CREATE DATABASE IF NOT EXISTS $MARIADB_DATABASE;
CREATE USER IF NOT EXISTS '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL ON $MARIADB_DATABASE.* TO '$MARIADB_USER'@'%';
SQL
exec mariadbd --no-defaults --user=mysql --datadir="$data" --socket=/run/mysqld/mysqld.sock \
    --init-file=/run/mysqld/init.sql "$@"

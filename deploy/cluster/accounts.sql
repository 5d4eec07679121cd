-- Run once on the first node: mariadb < accounts.sql
-- Accounts and their changes reach the other nodes like everything else.
CREATE DATABASE chat_app_db CHARACTER SET utf8mb4;
CREATE USER chat@'10.20.0.%' IDENTIFIED BY 'THE_DATABASE_PASSWORD';
GRANT ALL ON chat_app_db.* TO chat@'10.20.0.%';
-- HAProxy asks with it whether the node is in step. It has no password, and may do nothing else.
CREATE USER haproxy_check@'10.20.0.%';

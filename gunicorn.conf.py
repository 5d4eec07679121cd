"""How `make run` serves: see https://docs.gunicorn.org/en/stable/settings.html."""

bind = "127.0.0.1:8000"
workers = 2
# gunicorn's gthread, but for how it waits for requests.
worker_class = "main.worker.BufferingWorker"
threads = 4
worker_connections = 500
keepalive = 15
# Longer than an answer may take.
graceful_timeout = 45
# A path may hold a search text, and a cursor a username, of many bytes a character; a header, whatever a client sends.
limit_request_line = 8190
limit_request_field_size = 65536
# It would put a socket into the home folder of whoever runs it.
control_socket_disable = True

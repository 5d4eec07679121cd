"""How `make run` serves: see https://docs.gunicorn.org/en/stable/settings.html."""

bind = "127.0.0.1:8000"
workers = 2
worker_class = "gthread"
threads = 4
keepalive = 15
# It would put a socket into the home folder of whoever runs it.
control_socket_disable = True

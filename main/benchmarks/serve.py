"""Serves the service as it is, with the limits of a call beside it."""

from main.serve import serve

if __name__ == "__main__":
    serve("benchmarks.asgi:application")

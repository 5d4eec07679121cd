# The image of the server: docker build -t chat .   See docs/container.md.
#
# Any Debian or Ubuntu with Python 3.11 or newer, its headers and venv will do:
#   docker build --build-arg BASE=registry.example.org/python:3.11 -t chat .
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
# mysqlclient has no wheel for Linux. Its compiler and headers stay in this stage. Debian removes former versions of
# packages, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libmariadb-dev pkg-config
WORKDIR /srv/chat
COPY requirements.txt .
RUN python3 -m venv env \
    && env/bin/pip install --no-cache-dir --disable-pip-version-check --requirement requirements.txt \
    && env/bin/python -m pip uninstall --yes --quiet pip setuptools
COPY main main
# The file system may be read-only where it runs, so bytecode is written here. No modification time is compared.
RUN env/bin/python -m compileall -q --invalidation-mode unchecked-hash main

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libmariadb3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && groupadd --gid 10001 chat \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin chat \
    && install --directory --owner=10001 --group=10001 --mode=0750 /run/chat
# All of it belongs to root: the server cannot change its own code. /run/chat is for a socket.
COPY --from=build /srv/chat /srv/chat
WORKDIR /srv/chat/main
# Platforms set PORT to what they want.
ENV PATH=/srv/chat/env/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "main.health_check"]
# The server is the first process itself: a shell in its place would not pass SIGTERM on.
CMD ["python", "-m", "main.serve"]

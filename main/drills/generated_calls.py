"""Calls the service with thousands of requests that schemathesis makes from the OpenAPI document: part of `make drill`.

Arguments go to schemathesis, which ends with an error where an answer is a 5xx, or one that the document does not have.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(MAIN))
os.environ |= {"DJANGO_SETTINGS_MODULE": "main.settings", "SECRET_KEY": secrets.token_hex(), "ENV_FILE": "/dev/null"}
os.environ |= dict.fromkeys(("LOGIN_RATE", "REGISTER_RATE", "SEARCH_RATE", "SEND_RATE"), "")
os.environ["PYTHONPATH"] = str(MAIN)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks.server import PORT, Server  # noqa: E402


def main():
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {os.environ['MYSQL_DATABASE']}")
    call_command("migrate", verbosity=0)
    connection.close()
    config = str(MAIN / "drills/schemathesis.toml")
    schemathesis = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", config, "run"]
    # In a folder of its own, where it finds nothing of another run and leaves nothing.
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(  # noqa: S603
            [*schemathesis, f"http://127.0.0.1:{PORT}/schema", *sys.argv[1:]], cwd=folder
        )
        failures = [line for line in server.lines() if "Traceback" in line or "Error" in line]
    print("\n".join(failures))  # noqa: T201
    sys.exit(result.returncode or bool(failures))


if __name__ == "__main__":
    main()

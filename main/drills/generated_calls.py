"""Sends thousands of requests that schemathesis generates from the OpenAPI document. Part of `make drill`.

Arguments go to schemathesis; without any, its seed is always the same, so that a change fails by what it does, and not
by chance. `make drill-calls` hunts with another seed each time. It fails if an answer is a 5xx, or is not in the
document.
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
os.environ |= dict.fromkeys(("LOGIN_RATE", "REGISTER_RATE", "SEARCH_RATE", "SEND_RATE", "OPEN_RATE", "REPORT_RATE"), "")
os.environ["EMAIL_HOST"] = "127.0.0.1"
os.environ["PYTHONPATH"] = str(MAIN)

import django  # noqa: E402

django.setup()

from django.db import connection  # noqa: E402

from harness.server import PORT, Server, prepare_database  # noqa: E402
from harness.smtp import MailServer  # noqa: E402

ARGUMENTS = ["--seed", "1"]
MUST_SUCCEED = (
    "GET /users/profile 200",
    "GET /users/contacts/find-users 200",
    "POST /users/contacts/contact-book/<username> 201",
    "GET /conversations/<int:pk> 200",
    "GET /conversations/<int:pk>/messages 200",
    "POST /conversations/<int:pk>/messages 201",
    "PUT /conversations/<int:pk>/messages/<int:number> 200",
    "POST /reports 201",
)


def main():
    prepare_database()
    connection.close()
    config = str(MAIN / "drills/schemathesis.toml")
    schemathesis = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", config, "run"]
    # In a temporary folder, so that it finds nothing of another run, and leaves nothing.
    with MailServer() as mails, tempfile.TemporaryDirectory() as folder:
        os.environ["EMAIL_PORT"] = str(mails.port)
        failed, lines = run([*schemathesis, f"http://127.0.0.1:{PORT}/schema", *(sys.argv[1:] or ARGUMENTS)], folder)
    failures = [line for line in lines if "Traceback" in line or "Error" in line]
    # Requests that never get past a 404 would find nothing.
    failures += [f"Never answered well: {call}" for call in MUST_SUCCEED if not any(call in line for line in lines)]
    print("\n".join(failures))  # noqa: T201
    sys.exit(failed or bool(failures))


def run(command, folder):
    """Run the command beside a server; return its status, and what the server has logged."""
    with Server() as server:
        return subprocess.run(command, cwd=folder).returncode, server.lines()  # noqa: S603


if __name__ == "__main__":
    main()

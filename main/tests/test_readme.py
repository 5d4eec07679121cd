"""The sessions in the README, run as they stand there against a server."""

import re
import subprocess
from pathlib import Path

import pytest

from common.openapi import operations

README = Path(__file__).resolve().parents[2] / "README.md"
END = "\x1e"


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def sessions():
    """The commands of the sessions and what the README says they print."""
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    for step in re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]:
        lines = step.splitlines()
        last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        command = "\n".join(line.removeprefix("> ") for line in lines[: last + 1])
        yield command, "\n".join(lines[last + 1 :]).strip()


def test_the_table_lists_every_call():
    listed = set()
    for cell in re.findall(r"^\| (`[A-Z]+[ `].*?/.*?`) \|", README.read_text(), re.MULTILINE):
        *methods, call = re.findall(r"`(.*?)`", cell)
        method, path = call.split()
        path = path.partition("?")[0].replace("<", "{").replace(">", "}")
        listed |= {(each, path) for each in (*methods, method)}
    assert listed == {(method, path) for method, path, _, _ in operations()}


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_the_session_prints_what_the_readme_says(live_server):
    commands, printed = zip(*sessions(), strict=True)
    assert len(commands) == 15
    program = "\nprintf '\\x1e'\n".join(commands).replace("http://127.0.0.1:8000", live_server.url)
    result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60)  # noqa: S603, S607
    # Only the times differ.
    output = TIME.sub("(time)", result.stdout)
    assert [answer.strip() for answer in output.split(END)] == [TIME.sub("(time)", answer) for answer in printed]

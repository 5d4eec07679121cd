"""The sessions in the README, run as they stand there against a server."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from common.openapi import operations
from users.models import AuthToken

README = Path(__file__).resolve().parents[2] / "README.md"
END = "\x1e"


DIFFERENCES = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z": "(time)",
    r"[0-9a-f]{8}-\d+": "(id)",
    r"retry: [1-5]\d{3}": "retry: (milliseconds)",
}


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
    assert len(commands) == 19
    program = "\nprintf '\\x1e'\n".join(commands).replace("http://127.0.0.1:8000", live_server.url)
    result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60)  # noqa: S603, S607
    printed_here = [answer.strip() for answer in result.stdout.split(END)]
    assert list(map(without_differences, printed_here)) == list(map(without_differences, printed))


@pytest.mark.django_db(transaction=True)
def test_the_javascript_reads_events(live_server, as_alice, alice):
    node = shutil.which("node")
    if not node:
        pytest.skip("Node.js is not here.")
    cursor = as_alice.get("/events").json()["cursor"]
    as_alice.put("/users/profile", {"bio": "Two\n\nlines: here"})
    [program] = re.findall(r"```js\n(.*?)```", README.read_text(), re.DOTALL)
    program = program.replace("http://127.0.0.1:8000", live_server.url)
    token = AuthToken.objects.issue(alice)
    program += f"await listen('{token}', '{cursor}', (...event) => console.log(JSON.stringify(event)));"
    result = subprocess.run([node, "--input-type=module", "-e", program], capture_output=True, text=True, timeout=60)  # noqa: S603
    events = as_alice.get(f"/events?after={cursor}").json()["events"]
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        [event["event"], event["data"], event["id"]] for event in events
    ]
    assert [event["event"] for event in events] == ["profile"]


def without_differences(answer):
    """The answer without what differs from run to run."""
    for pattern, word in DIFFERENCES.items():
        answer = re.sub(pattern, word, answer)
    return answer

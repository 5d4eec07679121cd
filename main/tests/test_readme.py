"""The session in the README, run as it stands there against a server."""

import re
import subprocess
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
END = "\x1e"


def session():
    """The commands of the session and what the README says they print."""
    block = re.search(r"```console\n(.*?)```", README.read_text(), re.DOTALL)[1]
    for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = step.splitlines()
        last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        command = "\n".join(line.removeprefix("> ") for line in lines[: last + 1])
        yield command, "\n".join(lines[last + 1 :]).strip()


@pytest.mark.django_db(transaction=True)
def test_the_session_prints_what_the_readme_says(live_server):
    commands, printed = zip(*session(), strict=True)
    assert len(commands) > 9
    program = "\nprintf '\\x1e'\n".join(commands).replace("http://127.0.0.1:8000", live_server.url)
    result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60)  # noqa: S603, S607
    assert [output.strip() for output in result.stdout.split(END)] == list(printed)

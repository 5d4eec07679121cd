"""What deploy/install has to agree with; that it works is tried by `make drill-deploy`."""

import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

CHECKOUT = Path(settings.BASE_DIR).parent
DEPLOY = CHECKOUT / "deploy"
SCRIPTS = [DEPLOY / name for name in ("install", "back", "manage", "server/common.sh", "server/daily-backup")]
# Of deploy/server/daily-backup.
NOT_OF_THE_SERVICE = {"BACKUPS_KEPT_DAYS"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_scripts_are_whole(script):
    result = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)  # noqa: S603, S607
    assert (result.returncode, result.stderr) == (0, "")


def test_it_writes_settings_that_there_are():
    template = (CHECKOUT / "main/dot_env_template").read_text()
    known = set(re.findall("^([A-Z_]+) =", template, re.MULTILINE)) | NOT_OF_THE_SERVICE
    written = re.search("<<ENV\n(.*?)^ENV$", (DEPLOY / "install").read_text(), re.DOTALL | re.MULTILINE)[1]
    names = re.findall("^#?([A-Z_]+)=", written, re.MULTILINE)
    assert len(names) > 10
    assert set(names) <= known


def test_it_installs_every_file():
    installed = (DEPLOY / "install").read_text()
    for path in (DEPLOY / "server").iterdir():
        if path not in SCRIPTS:
            assert path.name in installed, path

"""The machines of a cluster on the loopback interface: each process runs from the files of deploy/cluster.

Each machine of the plan, 10.20.0.x, becomes 127.n.0.x. Ports are those of the files, but for 80 and 443. All other
differences, users, folders and sizes, are in `differences`.
"""

import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import MySQLdb

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy" / "cluster"
# What `scripts/install cluster` unpacks: packages that would start a service if they were installed.
TOOLS = ROOT / "env" / "cluster"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

FRONT, APPS, NODES = "10.20.0.10", ("10.20.0.11", "10.20.0.12"), ("10.20.0.21", "10.20.0.22", "10.20.0.23")
HTTP, HTTPS = 8080, 8443
PORTS = (HTTP, HTTPS, 3306, 4444, 4567, 4568, 6379, 8000, 10000)

ME = pwd.getpwuid(os.getuid()).pw_name
IS_ROOT = os.getuid() == 0
# MariaDB refuses to run as root.
SERVICE_USER = "nobody" if IS_ROOT else ME

# Seconds after which systemd starts a killed database again (RestartSec of Debian's unit).
RESTART_OF_DATABASE = 5


def what_is_missing():
    """Why this machine cannot run a cluster, as a sentence, or None."""
    programs = {"mariadbd", "mariadb-install-db", "mariabackup", "mbstream", "socat", "openssl", "lsof"}
    missing = sorted(each for each in programs if not shutil.which(each, path=PATH))
    files = [TOOLS / "usr/sbin/haproxy", TOOLS / "usr/sbin/nginx", TOOLS / "usr/bin/wsrep_sst_mariabackup"]
    files += [Path("/usr/lib/galera/libgalera_smm.so"), Path("/usr/bin/redis-check-rdb")]
    missing += [str(path) for path in files if not path.exists()]
    if missing:
        return f"`scripts/install cluster` could not bring what is needed: {', '.join(missing)}."
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") < 2e9:
        return "less than 2 GB of memory are free."
    return None


def free_network():
    """The beginning of addresses on which nobody listens at our ports."""
    for number in random.sample(range(20, 250), 20):
        network = f"127.{number}.0."
        try:
            for port in PORTS:
                for machine in (FRONT, *APPS, *NODES):
                    with socket.create_server((network + machine.rpartition(".")[2], port)):
                        pass
        except OSError:
            continue
        return network
    raise SystemExit("No addresses of the loopback interface are free.")


class Program:
    """A process that is started, broken, and started again. What it writes is in its log."""

    def __init__(self, name, command, folder, env=None, user=None):
        self.name, self.command, self.user = name, command, user
        self.env = {"PATH": PATH, "HOME": str(folder)} | (env or {})
        self.log = folder / f"{name}.log"
        self.process = None

    def start(self, *arguments):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [*self.command, *arguments],
                cwd=ROOT / "main",
                env=self.env,
                user=self.user if IS_ROOT else None,
                group="nogroup" if self.user and IS_ROOT else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number):
        """To the process and its children, which are in a group of their own."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds=60):
        """End it in the ordinary way, and return how many seconds that took."""
        began = time.monotonic()
        with suppress(ProcessLookupError):
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.kill()
        return time.monotonic() - began

    def wait_for_port(self, address, port, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError), closing(socket.create_connection((address, port), timeout=1)):
                return
            time.sleep(0.05)
        raise SystemExit(f"{self.name} does not answer:\n{self.tail()}")

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Node(Program):
    """A node of the database."""

    def __init__(self, number, address, folder, config):
        self.address, self.folder = address, folder
        self.socket, self.data = folder / "socket", folder / "data"
        self.command_line = ["mariadbd", f"--defaults-file={config}"]
        super().__init__(f"db{number}", self.command_line, folder, user=SERVICE_USER)

    def install(self):
        self.run("mariadb-install-db", "--skip-test-db", f"--auth-root-socket-user={SERVICE_USER}")

    def run(self, program, *arguments):
        """Run something of the database's while the node is down, and return what it writes."""
        done = subprocess.run(  # noqa: S603
            [program, self.command_line[1], *arguments],
            env=self.env,
            user=SERVICE_USER if IS_ROOT else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{program} of {self.name}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
        return done.stdout + done.stderr

    def bootstrap(self):
        """As galera_new_cluster does."""
        self.note_start()
        self.start("--wsrep-new-cluster")

    def start_again(self):
        """As Debian's unit does, from the position that the data has."""
        self.note_start()
        recovered = self.run("mariadbd", "--wsrep-recover", "--disable-log-error")
        [position] = re.findall(r"WSREP: Recovered position:? *([0-9a-f-]+:-?[0-9]+)", recovered)
        self.start(f"--wsrep-start-position={position}")

    def note_start(self):
        """From here on what it says tells how it comes back."""
        self.said = self.log.stat().st_size if self.log.exists() else 0
        self.started = time.monotonic()

    def state(self):
        """What it has written down of the cluster when it was stopped."""
        return (self.data / "grastate.dat").read_text()

    def ask(self, query, *arguments):
        """The rows of a query at this very node, not by way of HAProxy."""
        with closing(
            MySQLdb.connect(unix_socket=str(self.socket), user=ME, connect_timeout=2, read_timeout=60, autocommit=True)
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(query, arguments or None)
            return cursor.fetchall()

    def status(self, name):
        rows = self.ask("SHOW STATUS LIKE %s", name)
        return rows[0][1] if rows else None

    def is_in_step(self):
        try:
            return self.status("wsrep_local_state_comment") == "Synced" and self.status("wsrep_ready") == "ON"
        except MySQLdb.Error:
            return False

    def wait_until_in_step(self, seconds=90):
        """Return how it came back, and after how many seconds since it was started."""
        until = time.monotonic() + seconds
        while not self.is_in_step():
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit(f"{self.name} does not come back:\n{self.tail(60)}")
            time.sleep(0.1)
        return self.how_it_came_back(), time.monotonic() - self.started

    def how_it_came_back(self):
        with self.log.open("rb") as log:
            log.seek(self.said)
            said = log.read().decode(errors="replace")
        if "SST received" in said and "mariabackup SST completed" in said:
            return "a full copy"
        return "what it had missed (IST)" if "IST received" in said else "nothing was missing"


class Cluster:
    """All machines, for as long as a `with` lasts."""

    def __init__(self, secrets):
        self.secrets = secrets
        self.folder = Path(tempfile.mkdtemp(prefix="chat-cluster."))
        self.folder.chmod(0o711)
        self.network = free_network()
        self.programs = []
        self.certificate = self.folder / "fullchain.pem"

    def __enter__(self):
        try:
            self.prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure):
        for program in self.programs:
            if program.process and program.process.poll() is None:
                program.signal(signal.SIGCONT)
                program.kill()
        if os.environ.get("KEEP"):
            print(f"The logs are in {self.folder}")  # noqa: T201
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, machine):
        return self.network + machine.rpartition(".")[2]

    def add(self, program):
        self.programs.append(program)
        return program

    def prepare(self):
        scripts = self.folder / "bin"  # the database's user may not be allowed to read the folder of the project
        scripts.mkdir()
        for script in (TOOLS / "usr/bin").glob("wsrep_sst_*"):
            shutil.copy(script, scripts)
        self.nodes = [self.node(number, machine, scripts) for number, machine in enumerate(NODES, 1)]
        self.haproxies = [self.haproxy(number, machine) for number, machine in enumerate(APPS, 1)]
        self.apps = [self.app(number, machine) for number, machine in enumerate(APPS, 1)]
        config = self.render("redis.conf", FRONT)
        # Debian's redis-server is a link to this program, which goes by its name.
        (self.folder / "redis-server").symlink_to("/usr/bin/redis-check-rdb")
        self.redis = self.add(Program("redis", [str(self.folder / "redis-server"), str(config)], self.folder))
        self.nginx = self.add(self.make_nginx())

    def node(self, number, machine, scripts):
        folder = self.folder / f"db{number}"
        folder.mkdir(mode=0o700)
        config = self.render("mariadb.cnf", machine, folder)
        if IS_ROOT:
            shutil.chown(folder, SERVICE_USER)
            config.chmod(0o644)
        node = self.add(Node(number, self.address(machine), folder, config))
        node.env["PATH"] = f"{scripts}:{PATH}"
        return node

    def haproxy(self, number, machine):
        config = self.render("haproxy.cfg", machine)
        program = [str(TOOLS / "usr/sbin/haproxy"), "-db", "-f", str(config)]
        return self.add(Program(f"haproxy{number}", program, self.folder))

    def app(self, number, machine):
        """An app server, which another process of this machine's takes no setting from."""
        env = {"ENV_FILE": str(self.render("app.env", machine)), "SEND_RATE": "", "OPEN_RATE": ""}
        program = [str(ROOT / "env/bin/python"), "-m", "main.serve"]
        return self.add(Program(f"app{number}", program, self.folder, env))

    def make_nginx(self):
        key = self.folder / "privkey.pem"
        names = f"subjectAltName=IP:{self.address(FRONT)}"
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=chat"]
        request += ["-addext", names, "-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run(request, check=True, capture_output=True)  # noqa: S603
        self.nginx_config = self.render("nginx.conf", FRONT)
        program = [str(TOOLS / "usr/sbin/nginx"), "-p", str(self.folder), "-c", str(self.nginx_config)]
        program += ["-g", "daemon off;"]
        return Program("nginx", program, self.folder)

    def manage(self, *arguments):
        """What a command of manage.py writes, run on the first app server."""
        app = self.apps[0]
        done = subprocess.run(  # noqa: S603
            [str(ROOT / "env/bin/python"), "manage.py", *arguments],
            cwd=ROOT / "main",
            env=app.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def render(self, name, machine, folder=None):
        """A file of deploy/cluster, filled in as its operators would, and for one machine with all of it."""
        text = (DEPLOY / name).read_text()
        for placeholder, secret in self.secrets.items():
            text = text.replace(placeholder, secret)
        text = text.replace("THIS_ADDRESS", machine)
        for old, new in self.differences(name, machine, folder).items():
            if old not in text:
                raise SystemExit(f"{name} of deploy/cluster does not have {old!r} any more")
            text = text.replace(old, new)
        text = text.replace("10.20.0.", self.network)
        to = (folder or self.folder) / f"{machine}-{name}"
        to.write_text(text)
        return to

    def differences(self, name, machine, folder):
        """What is not as on machines of their own."""
        ours = str(self.folder)
        if name == "mariadb.cnf":
            places = f"datadir = {folder}/data\nsocket = {folder}/socket\npid_file = {folder}/pid\ntmpdir = {folder}\n"
            return {
                "[mariadbd]\n": f"[mariadbd]\n{places}",
                "wsrep_sst_auth = mysql:": f"wsrep_sst_auth = {SERVICE_USER}:",
                "innodb_buffer_pool_size = 1G": "innodb_buffer_pool_size = 128M",
                "gcache.size=512M": "gcache.size=64M",
            }
        if name == "accounts.sql":
            return {"10.20.0.%": "127.%"}
        if name == "haproxy.cfg":
            return {
                "    log /dev/log local0\n": "    log stdout format raw local0\n",
                "    user haproxy\n    group haproxy\n": "    user nobody\n    group nogroup\n" if IS_ROOT else "",
                "/run/haproxy/admin.sock": f"{ours}/{machine}-haproxy.sock",
                "bind 127.0.0.1:3306": f"bind {machine}:3306",
            }
        if name == "redis.conf":
            return {"/var/lib/redis": ours, "logfile /var/log/redis/redis-server.log": 'logfile ""'}
        if name == "app.env":
            # Connections within one machine come from 127.0.0.1, whatever address they lead to.
            return {
                "MYSQL_HOST=127.0.0.1": f"MYSQL_HOST={machine}",
                "TRUSTED_PROXIES=10.20.0.10": "TRUSTED_PROXIES=127.0.0.1",
                "chat.example.org": FRONT,
            }
        temporary = "".join(
            f"    {each}_temp_path {ours}/{each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return {
            "user www-data;\n": "user nobody nogroup;\n" if IS_ROOT else "",
            "http {\n": "http {\n" + temporary,
            # All clients of the drill have one address.
            "rate=100r/s": "rate=10000r/s",
            "/run/nginx.pid": f"{ours}/nginx.pid",
            "/var/log/nginx/": f"{ours}/nginx-",
            "/etc/ssl/chat": ours,
            ":80 ": f":{HTTP} ",
            ":443 ": f":{HTTPS} ",
            "chat.example.org": FRONT,
        }

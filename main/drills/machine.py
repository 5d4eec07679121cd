"""A bare Debian machine: a tree from debootstrap, booted with systemd by systemd-nspawn, in a network of its own.

The network has two ends, each a namespace: `inside` is the machine's, `outside` is where its users are. Nothing listens
on the addresses of the machine that runs the drill. Debian's and Python's packages are reached through a proxy at
`outside`, which is this process.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

CLONE_NEWNET = 0x40000000
ADDRESS, PROXY = "10.213.0.2", ("10.213.0.1", 3128)
# Of users, a class each: those who only use it, and one who asks too much.
USERS, GREEDY = [f"10.213.0.{number}" for number in range(11, 31)], "10.213.0.99"
PACKAGES = (
    "systemd,systemd-sysv,dbus,iproute2"  # what every installed Debian has and debootstrap's smallest set has not
)
TREE = "tree.tar"

libc = ctypes.CDLL(None, use_errno=True)


def command(*arguments, **options):
    return subprocess.run(arguments, check=True, capture_output=True, text=True, **options).stdout  # noqa: S603


class Namespace:
    def __init__(self, name):
        self.name = name
        command("ip", "netns", "add", name)

    @contextmanager
    def entered(self):
        """Sockets that this thread makes meanwhile are in this network."""
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self.name}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(here.fileno(), CLONE_NEWNET)

    def ip(self, *arguments):
        command("ip", "-n", self.name, *arguments)

    def remove(self):
        command("ip", "netns", "delete", self.name)


class Proxy:
    """An HTTP proxy that listens in a namespace and connects from this machine's own network."""

    def __init__(self, namespace):
        with namespace.entered():
            self.listener = socket.create_server(PROXY)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        with client, suppress(OSError, ValueError):
            head = b""
            while b"\r\n\r\n" not in head and len(head) < 65536:
                if not (data := client.recv(65536)):
                    return
                head += data
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                first = b""
            else:  # apt: an absolute URL of plain HTTP, one request after the other to the same host
                host, port = target.split("/")[2], "80"
                first = head
            with socket.create_connection((host, int(port)), timeout=60) as server:
                server.sendall(first) if first else client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self.copy, args=[server, client], daemon=True)
                back.start()
                self.copy(client, server)
                back.join()

    @staticmethod
    def copy(source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Machine:
    """Exists for as long as a `with` lasts. CHAT_DRILL_CACHE names a folder that keeps what was downloaded."""

    def __init__(self, say):
        self.say = say
        self.cache = Path(os.environ["CHAT_DRILL_CACHE"]) if os.environ.get("CHAT_DRILL_CACHE") else None
        self.undo = contextlib.ExitStack()
        self.name = f"chat-drill-{os.getpid()}"

    def __enter__(self):
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="chat-drill-deploy."))
            self.undo.callback(command, "rm", "-rf", "--one-file-system", self.folder)
            self.tree = self.folder / "tree"
            self.make_tree()
            self.make_network()
            self.boot()
        except BaseException:
            self.undo.close()
            raise
        return self

    def __exit__(self, *failure):
        self.undo.close()

    # Before the boot

    def make_tree(self):
        began = time.monotonic()
        if self.cache and (self.cache / TREE).exists():
            self.tree.mkdir()
            command("tar", "-C", self.tree, "--numeric-owner", "-xf", self.cache / TREE)
            self.say(f"a Debian tree from {self.cache}: {time.monotonic() - began:.0f} s")
        else:
            command("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", self.tree)
            self.say(f"a Debian tree by debootstrap: {time.monotonic() - began:.0f} s")
            if self.cache:
                self.cache.mkdir(parents=True, exist_ok=True)
                command("tar", "-C", self.tree, "--numeric-owner", "-cf", self.cache / TREE, ".")
        proxy = "http://{}:{}".format(*PROXY)
        (self.tree / "etc/apt/apt.conf.d/90drill").write_text(f'Acquire::http::Proxy "{proxy}";\n')
        # The authorities of this machine: there may be one of its own between it and the world.
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", self.tree / "etc/drill-authorities.pem")
        (self.tree / "etc/pip.conf").write_text(f"[global]\nproxy = {proxy}\ncert = /etc/drill-authorities.pem\n")
        for kept, place in self.downloads():
            if kept.exists():
                shutil.copytree(kept, place, dirs_exist_ok=True)

    def downloads(self):
        """What the cache keeps besides the tree, and where it is in the tree."""
        if self.cache:
            yield self.cache / "packages", self.tree / "var/cache/apt/archives"
            yield self.cache / "pip", self.tree / "root/.cache/pip"

    def keep_downloads(self):
        for kept, place in self.downloads():
            shutil.copytree(place, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock", "partial"))

    def make_network(self):
        self.inside, self.outside = (Namespace(f"{self.name}-{end}") for end in ("in", "out"))
        self.undo.callback(self.inside.remove)
        self.undo.callback(self.outside.remove)
        names = ("peer", "name", "veth-out", "netns", self.outside.name)
        command("ip", "link", "add", "veth-in", "netns", self.inside.name, "type", "veth", *names)
        self.inside.ip("address", "add", f"{ADDRESS}/24", "dev", "veth-in")
        for address in (PROXY[0], GREEDY, *USERS):
            self.outside.ip("address", "add", f"{address}/24", "dev", "veth-out")
        for namespace, device in ((self.inside, "veth-in"), (self.outside, "veth-out")):
            namespace.ip("link", "set", device, "up")
            namespace.ip("link", "set", "lo", "up")
        self.proxy = Proxy(self.outside)
        self.undo.callback(self.proxy.listener.close)

    # The boot and after

    def boot(self):
        began = time.monotonic()
        self.console = open(self.folder / "console", "wb")  # noqa: SIM115
        self.enter, self.options = self.make_cgroups()
        self.undo.callback(shutil.rmtree, f"/run/systemd/nspawn/propagate/{self.name}", ignore_errors=True)
        self.start()
        self.undo.callback(self.kill)
        self.wait_until_up()
        self.say(f"systemd is process 1 of a bare Debian 12: up after {time.monotonic() - began:.1f} s")

    def start(self):
        self.nspawn = subprocess.Popen(  # noqa: S603
            [
                *self.enter,
                *("systemd-nspawn", "--quiet", "--boot", f"--directory={self.tree}", f"--machine={self.name}"),
                *("--hostname=chat", "--register=no", "--console=pipe", "--link-journal=no", *self.options),
                f"--network-namespace-path=/run/netns/{self.inside.name}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.console,
            stderr=self.console,
            start_new_session=True,  # Ctrl-C is for the drill, which ends the machine
        )

    def make_cgroups(self):
        """A command that enters control groups for this machine alone, and the option that keeps it there.

        Where systemd runs already it makes them itself.
        """
        if Path("/run/systemd/system").is_dir():
            return [], []
        roots = [Path("/sys/fs/cgroup") / name for name in ("", "systemd", "unified")]
        groups = [root / self.name for root in roots if (root / "cgroup.procs").exists()]
        for group in groups:
            group.mkdir()
            self.undo.callback(self.remove_cgroup, group)
        enter = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
        return ["bash", "-ec", enter, "enter", *groups, "--"], ["--keep-unit"]

    @staticmethod
    def remove_cgroup(group):
        end = time.monotonic() + 10
        while group.exists() and time.monotonic() < end:  # a process that was killed takes a moment
            for folder, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    os.rmdir(folder)
            time.sleep(0.1)

    def kill(self):
        if leader := self.leader():
            with suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)  # and with it all of its processes
        try:
            self.nspawn.wait(15)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.console.close()

    def leader(self):
        """The id, on this machine, of the machine's process 1."""
        with suppress(OSError, IndexError):
            children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
            if Path(f"/proc/{children[0]}/comm").read_text() == "systemd\n":
                return int(children[0])
        return None

    def wait_until_up(self, before=None):
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if self.nspawn.poll() is not None:
                break
            if self.leader() not in (None, before):
                state = self.run("systemctl is-system-running", check=False).stdout.strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.2)
        raise SystemExit(
            "The machine does not start:\n" + (self.folder / "console").read_text(errors="replace")[-2000:]
        )

    def reboot(self):
        """The seconds until it is up again."""
        before, began = self.leader(), time.monotonic()
        self.run("systemctl reboot", check=False)
        if self.options:  # with --keep-unit it ends, and asks with this number to be started again
            status = self.nspawn.wait(90)
            if status != 133:
                raise SystemExit(f"Not as it should be: the machine ended with {status}")
            self.start()
        self.wait_until_up(before)
        return time.monotonic() - began

    def run(self, text, check=True, timeout=600):
        """Run commands of bash on the machine, as root."""
        result = subprocess.run(  # noqa: S603
            [
                *("nsenter", "--target", str(self.leader()), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"),
                *(
                    "env",
                    "-i",
                    "HOME=/root",
                    "LC_ALL=C.UTF-8",
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
                ),
                *("bash", "-c", text),
            ],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and result.returncode:
            output = (result.stdout + result.stderr)[-3000:]
            raise SystemExit(f"Not as it should be: {text!r} ended with {result.returncode}\n{output}")
        return result

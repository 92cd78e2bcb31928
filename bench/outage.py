"""Measures reads of a keeper while all is well and while its platform and its database are frozen, in turns.

Called by bench/keeper. The platform is a `mintkeep dev`, the database a throwaway PostgreSQL; both stop (SIGSTOP) for every other
turn: they neither answer nor refuse, which is worse than being gone. Throughout, somebody asks for a renewal ten times a second, so
that the keeper has both of them on its hands. Every read must be answered with a token, or it fails.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from harness import (DINGTALK_APP, DINGTALK_SECRET, GENERATOR_CORE, MADE, Ask, Figures, Mintkeep, Report, Server, Serving, free_port,
                     in_turns, ratio, wrk)

CREDENTIAL = "outage"
RENEWALS_EVERY_S = 0.1


class Beside(Server):
    """A server on the generator's core, whose processes can be stopped for a while."""

    core = GENERATOR_CORE

    def freeze(self, is_frozen):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for process in [self.process.pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP if is_frozen else signal.SIGCONT)


class Platform(Beside, Mintkeep):
    """`mintkeep dev`, as the platform."""


class Database(Beside):
    """PostgreSQL in a folder of its own. It refuses to run as root, and its folder must be in reach of whom it runs as."""

    def __init__(self):
        self.bin = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: int(found.parent.name))
        self.folder = tempfile.mkdtemp()
        run_as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if run_as:
            shutil.chown(self.folder, "postgres")
        make = [*run_as, self.bin / "initdb", "-D", f"{self.folder}/data", "-U", "mintkeep", "-A", "trust", "-E", "UTF8"]
        subprocess.run(make, check=True, capture_output=True, cwd=self.folder)
        port = free_port()
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        super().__init__([*run_as, self.bin / "postgres", "-D", f"{self.folder}/data", "-p", port, *options], port)

    def url(self):
        """Of a new database."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "mintkeep"]
        while subprocess.run([self.bin / "pg_isready", "-q", *where]).returncode:
            time.sleep(0.1)
        subprocess.run([self.bin / "createdb", *where, "keeper"], check=True)
        return f"postgres://mintkeep@127.0.0.1:{self.port}/keeper"

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.folder)


class Keeper(Serving):
    """A keeper alone."""

    role = """
[keeper]
listen = "{keeper}"
[drain]
notice_s = 0
"""

    def reading(self, platform):
        """How its one token is read, by a consumer that is made for it."""
        credential = {"name": CREDENTIAL, "dialect": "dingtalk", "app_id": DINGTALK_APP, "base_url": f"http://{platform.issuer}",
                      "proof": {"secret": DINGTALK_SECRET}}
        self.administer("POST", "/admin/v1/keeper/credentials", credential)
        consumer = {"name": "bench", "all_credentials": True, "verbs": ["read"]}
        key = json.loads(self.administer("POST", "/admin/v1/keeper/consumers", consumer))["key"]
        return Ask(f"http://{self.keeper}/v1/tokens/{CREDENTIAL}", headers={"Authorization": f"Bearer {key}"})

    def renew(self):
        # Of one that waits for what is frozen, nobody needs the answer.
        with contextlib.suppress(OSError):
            self.administer("POST", f"/admin/v1/keeper/tokens/{CREDENTIAL}/refresh", {})


@contextlib.contextmanager
def renewals(keeper):
    """Asks for one again and again, whether or not the one before was answered."""
    ended = threading.Event()

    def ask():
        while not ended.wait(RENEWALS_EVERY_S):
            threading.Thread(target=keeper.renew, daemon=True).start()

    asking = threading.Thread(target=ask)
    asking.start()
    yield
    ended.set()
    asking.join()


def turn(keeper, reading, beside, asked):
    """One run with what is beside the keeper frozen or not."""
    connections, seconds, is_frozen = asked
    for server in beside:
        server.freeze(is_frozen)
    try:
        with renewals(keeper):
            return wrk(keeper, reading, connections, seconds)
    finally:
        for server in beside:
            server.freeze(False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=2)
    plan = parser.parse_args()
    MADE.mkdir(parents=True, exist_ok=True)
    report = Report()
    with contextlib.ExitStack() as running:
        folders = [running.enter_context(tempfile.TemporaryDirectory(prefix="outage.", dir=MADE)) for _ in range(2)]
        database, platform = running.enter_context(Database()), running.enter_context(Platform(folders[0]))
        keeper = running.enter_context(Keeper(folders[1], database.url()))
        reading = keeper.reading(platform)
        for connections in (16, 64):
            def reads(is_frozen):
                return turn(keeper, reading, (platform, database), (connections, plan.seconds, is_frozen))

            well, frozen = in_turns(plan, lambda: reads(False), lambda: reads(True))
            report.add("keeper token read, all well, a renewal every 0.1 s", connections, Figures.median(well))
            beside = f"{ratio('p99_ms', frozen, well):.2f}× the p99 of all well"
            report.add("**the same, platform and database frozen**", connections, Figures.median(frozen), beside)


main()

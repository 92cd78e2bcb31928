"""Measures `mintkeep serve` on PostgreSQL over HTTP. Called by bench/postgres for each row of its second table.

    serving.py mint|exchange REPLICAS CLIENTS SECONDS DATABASE_URL POSTMASTER_PID PGBENCH_PER_S

Prints the row's cells: answers a second over all replicas, how many times pgbench's changes a second that is, p50 and p99 in
milliseconds, and the CPU time of an answer in microseconds, Mintkeep's and PostgreSQL's. Each answer is a change of its own in
the database: the audit lines are counted, and it fails if there are fewer of them.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

from harness import ALL_CORES, BUILT, JSON, MADE, TICKS_PER_S, Ask, Serving

# Each client finds an app that nobody else asks for: two callers of one app at once would share a token.
APPS_A_CLIENT = 4
CUSTOMER = "2160000000000001"
# More than any replica exchanges in a second on two cores.
EXCHANGES_A_SECOND = 6_000


class Replica(Serving):
    """An issuer. It may use all cores, as the database and the generator may."""

    core = ALL_CORES
    role = """
[issuer]
listen = "{issuer}"
public_url = "https://tokens.example.com"
"""

    def make_app(self, name, dialect, **settings):
        """Gives its secret."""
        asked = {"id": name, "dialect": dialect, "name": "bench", "settings": settings}
        return json.loads(self.administer("POST", "/admin/v1/apps", asked))["secret"]


class AppsInTurn(Ask):
    """A WeChat token for one app after the other."""

    def __init__(self, replica, apps):
        super().__init__(f"http://{replica.issuer}/")
        self.targets = [f"/cgi-bin/token?grant_type=client_credential&appid={name}&secret={secret}" for name, secret in apps]

    def script(self):
        targets = ",".join(json.dumps(target) for target in self.targets)
        return super().script() + f"""
local targets, requests, turn = {{{targets}}}, {{}}, 0
init = function() for n, target in ipairs(targets) do requests[n] = wrk.format("GET", target) end end
request = function() turn = turn % #requests + 1; return requests[turn] end
"""


def minters(replicas, clients, seconds, files):
    """One wrk for each replica, which has apps of its own, as a balancer that keeps an app at a replica would send them."""
    for n, replica in enumerate(replicas):
        names = [f"wx{n}x{app}" for app in range(clients * APPS_A_CLIENT)]
        ask = AppsInTurn(replica, [(name, replica.make_app(name, "wechat", daily_quota=0)) for name in names])
        script = files.enter_context(tempfile.NamedTemporaryFile("w", suffix=".lua"))
        script.write(ask.script())
        script.flush()
        yield ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout=30s", "-s", script.name, ask.url]


def exchangers(replicas, clients, seconds, files):
    """One generator for each replica; all exchange codes of one DingTalk app."""
    first = replicas[0]
    first.administer("PUT", f"/admin/v1/customers/{CUSTOMER}", {})
    secret = files.enter_context(tempfile.NamedTemporaryFile("w"))
    secret.write(first.make_app("dingbench", "dingtalk"))
    secret.flush()
    for replica in replicas:
        yield [BUILT / "exchange", "--issuer", replica.issuer, "--admin", replica.admin, "--admin-token", replica.data / "admin.token",
               "--secret", secret.name, "--app", "dingbench", "--customer", CUSTOMER,
               "--count", str(EXCHANGES_A_SECOND * seconds // len(replicas)), "--connections", str(clients)]


def cpu_s(pid):
    """What a process and the children that it waited for have used; nothing of one that has ended, which is its parent's by then."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def database_cpu_s(postmaster):
    backends = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return sum(map(cpu_s, [postmaster, *backends]))


def audit_lines(url):
    return int(subprocess.run(["psql", "-XAt", url, "-c", "SELECT count(*) FROM audit"], check=True, capture_output=True, text=True).stdout)


def result_of(said):
    """(answers, seconds, p50 in ms, p99 in ms) of either generator."""
    last = said.strip().splitlines()[-1]
    if last.startswith("{"):
        seen = json.loads(last)
        return seen["requests"], seen["requests"] / seen["requests_per_s"], seen["p50_ms"], seen["p99_ms"]
    result = next(line for line in said.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, duration_us, p50_us, p99_us, errors = map(int, result)
    if errors:
        sys.exit(f"bench: {errors} of {requests} requests failed")
    return requests, duration_us / 1e6, p50_us / 1e3, p99_us / 1e3


def measure(work, replicas, clients, seconds, url, postmaster):
    """Loads all replicas at once; (answers, answers/s, p50, p99, CPU µs ours, CPU µs the database's)."""
    with contextlib.ExitStack() as files:
        makers = {"mint": minters, "exchange": exchangers}
        commands = list(makers[work](replicas, clients // len(replicas), seconds, files))
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running = [subprocess.Popen(command, **pipe) for command in commands] if work == "exchange" else []
        for generator in running:
            generator.stdout.readline()
        lines, ours, theirs = audit_lines(url), sum(replica.cpu_s() for replica in replicas), database_cpu_s(postmaster)
        for generator in running:
            generator.stdin.write("go\n")
            generator.stdin.flush()
        running = running or [subprocess.Popen(command, **pipe) for command in commands]
        results = [result_of(generator.communicate()[0]) for generator in running]
        ours, theirs = sum(replica.cpu_s() for replica in replicas) - ours, database_cpu_s(postmaster) - theirs
        answers = sum(result[0] for result in results)
        if audit_lines(url) - lines < 0.98 * answers:
            sys.exit(f"bench: {audit_lines(url) - lines} changes for {answers} answers")
        per_s = sum(result[0] / result[1] for result in results)
        return per_s, max(result[2] for result in results), max(result[3] for result in results), ours / answers * 1e6, theirs / answers * 1e6


def main():
    work, count, clients, seconds, url, postmaster, bare = sys.argv[1:]
    with contextlib.ExitStack() as running:
        folders = [running.enter_context(tempfile.TemporaryDirectory(prefix="mintkeep-bench-", dir=MADE)) for _ in range(int(count))]
        replicas = [running.enter_context(Replica(folder, url)) for folder in folders]
        per_s, p50, p99, ours, theirs = measure(work, replicas, int(clients), int(seconds), url, postmaster)
    print(f"{per_s:,.0f} | {per_s / float(bare):.2f} | {p50:.1f} | {p99:.1f} | {ours:.0f} | {theirs:.0f}")


main()

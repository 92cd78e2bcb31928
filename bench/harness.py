"""Measures `mintkeep dev` and its peers in turns: one core for the server, one for the generator.

Called by bench/run, which builds and installs what is started here. Each figure is the median of the
turns, and each ratio that of the turns' ratios: turns are short, so that two that follow each other meet the same machine.
"""

import argparse
import base64
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "target/release"
MADE = ROOT / "target/bench"
SERVER_CORE, GENERATOR_CORE = "0", "1"
ALL_CORES = f"0-{os.cpu_count() - 1}"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STARTS_WITHIN_S = 20
WECHAT_APP, WECHAT_SECRET = "wx0000000000000001", "sandbox-wechat-secret"
DINGTALK_APP, DINGTALK_SECRET = "dingsandbox0000001", "sandbox-dingtalk-secret"
GATEWAY = "Basic " + base64.b64encode(b"gateway-sandbox:sandbox-gateway-secret").decode()
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
SERVED = """
[admin]
listen = "{admin}"
token = "file:admin.token"
[store]
url = "{url}"
[master_key]
current = "file:master.key"
"""


@dataclass
class Ask:
    """One HTTP request, as the generator repeats it and as we try it once beforehand."""

    url: str
    method: str = "GET"
    headers: dict = None
    body: str = None

    def once(self):
        request = Request(self.url, method=self.method, headers=self.headers or {}, data=self.body and self.body.encode())
        with urlopen(request, timeout=10) as answer:
            return answer.read()

    def script(self):
        """For wrk: this request, and what the run came to on one line."""
        lines = [f"wrk.method = {json.dumps(self.method)}"]
        lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in (self.headers or {}).items()]
        lines += [f"wrk.body = {json.dumps(self.body)}"] if self.body else []
        lines += [
            "done = function(summary, latency)",
            "  local e = summary.errors",
            "  io.write(string.format('RESULT %d %d %d %d %d\\n', summary.requests, summary.duration,",
            "    latency:percentile(50), latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))",
            "end",
        ]
        return "\n".join(lines)


@dataclass
class Figures:
    """What one run came to; CPU is the server's, user and system."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    rss_mib: float

    @staticmethod
    def median(runs):
        return Figures(*(statistics.median(getattr(run, name) for run in runs) for name in Figures.__annotations__))


def cpu_s(process):
    """The user and system time that a process has used so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class Server:
    """A process on the server's core, ready when its port answers, gone when the block ends."""

    core = SERVER_CORE

    def __init__(self, argv, port, env=None):
        self.log = tempfile.NamedTemporaryFile(prefix="mintkeep-bench-", suffix=".log")
        self.process = subprocess.Popen(
            ["taskset", "-c", self.core, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **(env or {})},
        )
        self.port = port

    def __enter__(self):
        began = time.monotonic()
        while time.monotonic() < began + STARTS_WITHIN_S and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.005)
        self.__exit__()
        sys.exit(f"bench: {self.process.args} was not ready: {Path(self.log.name).read_text()[-2000:]}")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_s(self):
        return cpu_s(self.process)

    def rss_mib(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


class Mintkeep(Server):
    """`mintkeep dev` over a folder of its own."""

    def __init__(self, folder, env=None):
        self.data = Path(folder) / "data"
        self.issuer, self.keeper, self.admin = (f"127.0.0.1:{free_port()}" for _ in range(3))
        super().__init__([BUILT / "mintkeep", *self.asked()], int(self.admin.rpartition(":")[2]), env)

    def asked(self):
        return ["dev", "--data", self.data, "--issuer", self.issuer, "--keeper", self.keeper, "--admin", self.admin]

    def __enter__(self):
        super().__enter__()
        for _ in range(STARTS_WITHIN_S * 20):
            try:
                Ask(f"http://{self.admin}/readyz").once()
                return self
            except (URLError, OSError):
                time.sleep(0.05)
        sys.exit(f"bench: not ready: {Path(self.log.name).read_text()[-2000:]}")

    def secret(self, name):
        return (self.data / name).read_text().strip()

    def administer(self, method, path, body):
        headers = {"Authorization": "Bearer " + self.secret("admin.token"), "Content-Type": JSON}
        return Ask(f"http://{self.admin}{path}", method, headers, json.dumps(body)).once()


class Serving(Mintkeep):
    """`mintkeep serve` over a database, which others may serve too: all have the same key."""

    # What the configuration has of its own: its role's listener.
    role = ""

    def __init__(self, folder, url):
        self.url = url
        super().__init__(folder)

    def asked(self):
        self.data.mkdir()
        configuration = (self.role + SERVED).format(issuer=self.issuer, keeper=self.keeper, admin=self.admin, url=self.url)
        for name, text in (("admin.token", "t" * 32), ("master.key", base64.b64encode(bytes(32)).decode()), ("mintkeep.toml", configuration)):
            (self.data / name).write_text(text)
            (self.data / name).chmod(0o600)
        subprocess.run([BUILT / "mintkeep", "migrate", "--config", self.data / "mintkeep.toml"], check=True, capture_output=True)
        return ["serve", "--config", self.data / "mintkeep.toml"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def bare(body_bytes):
    port = free_port()
    return Server([BUILT / "bare", f"127.0.0.1:{port}", body_bytes], port)


def wrk(server, ask, connections, seconds):
    """Repeats `ask` against `server` for so long."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(ask.script())
        script.flush()
        before = server.cpu_s()
        ran = subprocess.run(
            ["taskset", "-c", GENERATOR_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=30s", "-s", script.name, ask.url],
            capture_output=True, text=True, check=True,
        )
        cpu_s = server.cpu_s() - before
    result = next(line for line in ran.stdout.splitlines() if line.startswith("RESULT")).split()[1:]
    requests, duration_us, p50_us, p99_us, errors = map(int, result)
    if errors:
        sys.exit(f"bench: {errors} of {requests} requests to {ask.url.partition('?')[0]} failed")
    return Figures(requests / duration_us * 1e6, p50_us / 1e3, p99_us / 1e3, cpu_s / requests * 1e6, server.rss_mib())


def in_turns(plan, *sides):
    """Lets each side run, one after the other, again and again; gives each side's figures, turn by turn."""
    turns = [[side() for side in sides] for _ in range(plan.turns)]
    return [list(runs) for runs in zip(*turns)]


def ratio(figure, ours, theirs):
    """How many times theirs ours is, as the median of the turns: what else the machine does drifts from turn to turn."""
    pairs = [(getattr(our, figure), getattr(their, figure)) for our, their in zip(ours, theirs)]
    # The kernel counts CPU in hundredths of a second: on a busy machine a short turn may show none.
    return statistics.median([our / their for our, their in pairs if their] or [float("nan")])


def beside_bare(server, ask, plan, connections):
    """Runs bare hyper and `server` in turns, with answers of the same size; gives (ours, bare's)."""
    with bare(len(ask.once())) as floor:
        mirrored = Ask(urlsplit(ask.url)._replace(netloc=f"127.0.0.1:{floor.port}").geturl(), ask.method, ask.headers, ask.body)
        theirs, ours = in_turns(
            plan,
            lambda: wrk(floor, mirrored, connections, plan.seconds),
            lambda: wrk(server, ask, connections, plan.seconds),
        )
    return ours, theirs


def exchange(server, plan, connections):
    """Signed applyToken calls, each with a code of its own."""
    generator = subprocess.Popen(
        ["taskset", "-c", GENERATOR_CORE, BUILT / "exchange", "--issuer", server.issuer, "--admin", server.admin,
         "--admin-token", server.data / "admin.token", "--key", server.data / "sandbox/miniprogram/app_private.pem",
         "--app", "MINI0000000000000001", "--customer", "2160000000000001",
         "--count", str(plan.exchanges), "--connections", str(connections)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    generator.stdout.readline()
    before = server.cpu_s()
    said, _ = generator.communicate("go\n")
    if generator.returncode:
        sys.exit("bench: the exchanges failed")
    seen = json.loads(said)
    cpu_us = (server.cpu_s() - before) / seen["requests"] * 1e6
    return Figures(seen["requests_per_s"], seen["p50_ms"], seen["p99_ms"], cpu_us, server.rss_mib())


def rsa_alone(plan):
    """One verify and one sign, again and again, without any server around them; it has no times and no memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = ["taskset", "-c", SERVER_CORE, BUILT / "floor", str(plan.seconds)]
    floor = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    floor.stdout.readline()
    drawing_the_key_s = cpu_s(floor)
    said, _ = floor.communicate("go\n")
    if floor.returncode:
        sys.exit("bench: RSA alone failed")
    after, seen = resource.getrusage(resource.RUSAGE_CHILDREN), json.loads(said)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime - drawing_the_key_s
    return Figures(seen["requests_per_s"], 0, 0, used_s / seen["requests"] * 1e6, 0)


class Report:
    """The table, row by row, on the terminal as it grows and in the page at the end."""

    HEAD = (
        "| what | connections | requests/s | p50 ms | p99 ms | CPU µs/request | RSS MiB | beside |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    )

    def __init__(self):
        self.lines = []
        print(self.HEAD, flush=True)

    def add(self, what, connections="", figures=None, beside="", *, per_s=None, cpu_us=None, rss=None):
        if figures:
            cells = [f"{figures.requests_per_s:,.0f}", f"{figures.p50_ms:.2f}", f"{figures.p99_ms:.2f}",
                     f"{figures.cpu_us:.1f}", f"{figures.rss_mib:.0f}"]
        else:
            cells = [f"{per_s:,.0f}" if per_s else "", "", "", f"{cpu_us:.1f}" if cpu_us else "", f"{rss:.1f}" if rss else ""]
        line = "| " + " | ".join([what, str(connections), *cells, beside]) + " |"
        self.lines.append(line)
        print(line, flush=True)

    def add_pair(self, what, connections, ours, floor):
        self.add(f"bare hyper, as long an answer as {what}", connections, Figures.median(floor))
        cpu, rate = ratio("cpu_us", ours, floor), ratio("requests_per_s", ours, floor)
        self.add(f"**{what}**", connections, Figures.median(ours), f"{cpu:.2f}× bare's CPU, {rate:.2f}× its requests/s")


INTROSPECTION, DINGTALK, STABLE, MINT, EXCHANGE = ISSUER_SCENARIOS = (
    "introspection", "DingTalk, the same token again", "WeChat stable_token", "WeChat token, a durable mint each",
    "signed applyToken, a durable exchange each",
)


def asks_of(server):
    """What is asked of the issuer, by name."""
    def dingtalk():
        body = json.dumps({"appKey": DINGTALK_APP, "appSecret": DINGTALK_SECRET})
        return Ask(f"http://{server.issuer}/v1.0/oauth2/accessToken", "POST", {"Content-Type": JSON}, body)

    def stable():
        body = json.dumps({"grant_type": "client_credential", "appid": WECHAT_APP, "secret": WECHAT_SECRET})
        return Ask(f"http://{server.issuer}/cgi-bin/stable_token", "POST", {"Content-Type": JSON}, body)

    def mint():
        query = f"grant_type=client_credential&appid={WECHAT_APP}&secret={WECHAT_SECRET}"
        return Ask(f"http://{server.issuer}/cgi-bin/token?{query}")

    def introspection():
        token = json.loads(stable().once())["access_token"]
        headers = {"Authorization": GATEWAY, "Content-Type": FORM}
        return Ask(f"http://{server.issuer}/oauth2/introspect", "POST", headers, f"token={token}")

    return {INTROSPECTION: introspection, DINGTALK: dingtalk, STABLE: stable, MINT: mint}


def issuer(report, plan, folder):
    if not any(map(plan.wants, ISSUER_SCENARIOS)):
        return
    with Mintkeep(folder) as server:
        lift_quotas(server)
        for name, ask in asks_of(server).items():
            if not plan.wants(name):
                continue
            for connections in (16, 64):
                report.add_pair(name, connections, *beside_bare(server, ask(), plan, connections))
        if plan.wants(EXCHANGE):
            rsa, ours = in_turns(plan, lambda: rsa_alone(plan), lambda: exchange(server, plan, 64))
            alone = Figures.median(rsa)
            report.add("RSA-2048 alone: one verify and one sign", per_s=alone.requests_per_s, cpu_us=alone.cpu_us)
            rate, share = ratio("requests_per_s", ours, rsa), ratio("cpu_us", rsa, ours)
            report.add(f"**{EXCHANGE}**", 64, Figures.median(ours), f"{rate:.2f}× RSA's requests/s, {share:.2f} of its CPU is RSA's")


def lift_quotas(server):
    """The sandbox's daily limit is WeChat's; a harness needs more."""
    server.administer("PATCH", f"/admin/v1/apps/{WECHAT_APP}", {"settings": {"daily_quota": 0}})


def slow_disk(report, plan, folder):
    if not plan.wants("slow disk"):
        return
    env = {"LD_PRELOAD": str(MADE / "slow_fsync.so"), "SLOW_FSYNC_MS": "4"}
    with Mintkeep(folder, env) as server:
        lift_quotas(server)
        mint = asks_of(server)[MINT]()
        mints, exchanges = in_turns(plan, lambda: wrk(server, mint, 64, plan.seconds), lambda: exchange(server, plan, 64))
        report.add("**WeChat token, each fsync 4 ms**", 64, Figures.median(mints))
        report.add("**signed applyToken, each fsync 4 ms**", 64, Figures.median(exchanges))


def oidc_provider(report, plan):
    if not plan.wants("oidc-provider"):
        return
    port, secret = free_port(), "bench-secret"
    basic = "Basic " + base64.b64encode(f"bench:{secret}".encode()).decode()
    headers = {"Authorization": basic, "Content-Type": FORM}
    with Server(["node", MADE / "peer/oidc.js", port, secret], port, {"NODE_ENV": "production"}) as server:
        mint = Ask(f"http://127.0.0.1:{port}/token", "POST", headers, "grant_type=client_credentials")
        token = json.loads(mint.once())["access_token"]
        introspection = Ask(f"http://127.0.0.1:{port}/token/introspection", "POST", headers, f"token={token}")
        for name, ask in (("introspection", introspection), ("client_credentials, in memory", mint)):
            runs = [wrk(server, ask, 64, plan.seconds) for _ in range(plan.turns)]
            report.add(f"npm oidc-provider, {name}", 64, Figures.median(runs))


def keeper(report, plan, folder):
    if not plan.wants("keeper token read"):
        return
    with Mintkeep(folder) as server:
        key = server.secret("sandbox/consumer.key")
        ask = Ask(f"http://{server.keeper}/v1/tokens/wechat-sandbox", headers={"Authorization": f"Bearer {key}"})
        for connections in (16, 64):
            report.add_pair("keeper token read", connections, *beside_bare(server, ask, plan, connections))
        beside_redis(report, plan, server, ask)


def beside_redis(report, plan, server, ask):
    """The keeper's token read and Redis' GET of a value as long, asked in turns by the same loop over raw sockets."""
    path = urlsplit(ask.url).path
    headers = "".join(f"{name}: {value}\r\n" for name, value in {"Host": server.keeper, **ask.headers}.items())
    reading = f"GET {path} HTTP/1.1\r\n{headers}\r\n"
    port = free_port()
    argv = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with Server(argv, port) as redis:
        value = "x" * len(ask.once())
        subprocess.run(["redis-cli", "-p", str(port), "SET", "k", value], check=True, capture_output=True)
        for connections in (16, 64):
            theirs, ours = in_turns(
                plan,
                lambda: repeat(redis, (f"127.0.0.1:{port}", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), connections, plan.seconds),
                lambda: repeat(server, (server.keeper, reading), connections, plan.seconds),
            )
            report.add("Redis GET, a value as long", connections, Figures.median(theirs))
            ratios = f"{ratio('requests_per_s', ours, theirs):.2f}× Redis's requests/s, {ratio('p99_ms', ours, theirs):.2f}× its p99"
            report.add("**keeper token read, by the same loop**", connections, Figures.median(ours), ratios)


def repeat(server, asked, connections, seconds):
    """Repeats the bytes of a request against `server` for so long, whatever protocol they are in."""
    address, request = asked
    with tempfile.NamedTemporaryFile("w", newline="") as file:
        file.write(request)
        file.flush()
        before = server.cpu_s()
        argv = ["taskset", "-c", GENERATOR_CORE, BUILT / "repeat", address, file.name, str(connections), str(seconds)]
        seen = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        cpu_us = (server.cpu_s() - before) / seen["requests"] * 1e6
    return Figures(seen["requests_per_s"], seen["p50_ms"], seen["p99_ms"], cpu_us, server.rss_mib())


def idle(report, plan, folder):
    if plan.wants("idle"):
        with Mintkeep(folder) as server:
            time.sleep(2)
            report.add("**idle, both roles, sandbox seeded**", rss=server.rss_mib())


def write_page(report):
    page = f"""# Results

Made by `bench/run`; what it measures and how is in [README.md](README.md). On {os.cpu_count()} cores: the server on one, the
generator on the other. Absolute figures are this machine's; the ratios travel.

{Report.HEAD}
""" + "\n".join(report.lines) + "\n"
    (ROOT / "bench/RESULTS.md").write_text(page)


@dataclass
class Plan:
    turns: int
    seconds: int
    exchanges: int
    names: list

    def wants(self, scenario):
        return not self.names or any(name in scenario for name in self.names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    plan = Plan(2, 1, 500, asked.names) if asked.quick else Plan(12, 1, 1_000, asked.names)
    if os.cpu_count() < 2:
        sys.exit("bench: needs two cores, one for the server and one for the generator")
    report = Report()
    for part in (idle, issuer, slow_disk, keeper):
        with tempfile.TemporaryDirectory(prefix="mintkeep-bench-", dir=MADE) as folder:
            part(report, plan, folder)
    oidc_provider(report, plan)
    if not asked.quick and not asked.names:
        write_page(report)


if __name__ == "__main__":
    main()

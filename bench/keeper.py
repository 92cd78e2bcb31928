"""Starts `mintkeep serve` on stores of many credentials, and watches when it renews their tokens.

Called by bench/keeper, which builds what is started here. Three starts, each on a store of its own: at once after a stop,
when little is due; two minutes after it, when a good deal is; and three hours after it, when every token is over. Filling
the store comes on top of that, as "stopped for s" says.
"""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "target/release"
MADE = ROOT / "target/bench"
STARTS_WITHIN_S = 120
# What a platform needs for an answer.
PLATFORM_TAKES_S = 0.02
ADMIN_TOKEN = "bench-admin-token-bench-admin-token"
# How long before the start the keeper before it stopped.
STOPS_S = {"a restart": 0, "two minutes": 120, "three hours": 10_800}


class Platform:
    """Answers both token endpoints with a token of two hours, and notes when each app asked first."""

    def __init__(self):
        self.asked = {}
        self.calls = 0

    async def serve(self):
        return await asyncio.start_server(self.talk, "127.0.0.1", 0)

    async def talk(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:")]
                asked = json.loads(await reader.readexactly(int(lengths[0])))
                now = time.time()
                await asyncio.sleep(PLATFORM_TAKES_S)
                writer.write(self.answer(head.split(" ", 2)[1], asked, now))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, path, asked, now):
        self.calls += 1
        token = f"{self.calls:064x}"
        if path == "/cgi-bin/stable_token":
            app, answer = asked["appid"], {"access_token": token, "expires_in": 7200}
        else:
            app, answer = asked["appKey"], {"accessToken": token, "expireIn": 7200}
        self.asked.setdefault(app, now)
        body = json.dumps(answer).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class Server:
    """`mintkeep serve` as a keeper alone, in `folder`."""

    def __init__(self, folder):
        self.log = open(folder / "server.log", "w+")
        self.began = time.monotonic()
        command = [BUILT / "mintkeep", "serve", "--config", folder / "mintkeep.toml"]
        self.process = subprocess.Popen(command, stderr=self.log, stdout=self.log)

    async def ready(self):
        """How long it took until it said that it is; and where its admin listener is."""
        address = None
        while time.monotonic() - self.began < STARTS_WITHIN_S and self.process.poll() is None:
            address = address or self.listening()
            if address and await asyncio.to_thread(answers, f"http://{address}/readyz"):
                return time.monotonic() - self.began, address
            await asyncio.sleep(0.01)
        raise SystemExit("the server did not become ready: " + Path(self.log.name).read_text()[-2000:])

    def listening(self):
        for line in Path(self.log.name).read_text().splitlines():
            told = json.loads(line)
            if told.get("message") == "listening" and told.get("listener") == "admin":
                return told["address"]
        return None

    def rss_mib(self):
        """Now, and at most so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if name in ("VmRSS", "VmHWM")}
        return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


def answers(url):
    try:
        with urlopen(Request(url, headers={"authorization": f"Bearer {ADMIN_TOKEN}"}), timeout=30) as answer:
            return answer.read()
    except OSError:
        return None


def fill(folder, credentials, base_url, stopped_at):
    """A store as the keeper before left it; of each app, when its token is due and when that ends."""
    subprocess.run([BUILT / "mintkeep", "key", "generate", "--master", "--out", folder], check=True, capture_output=True)
    (folder / "admin.token").write_text(ADMIN_TOKEN)
    os.chmod(folder / "admin.token", 0o600)
    (folder / "mintkeep.toml").write_text(
        '[keeper]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\ntoken = "file:admin.token"\n'
        '[store]\npath = "data"\n[master_key]\ncurrent = "file:master.key"\n[drain]\nnotice_s = 0\n'
    )
    arguments = [folder / "data", folder / "master.key", base_url, str(credentials), str(int(stopped_at * 1000))]
    lines = subprocess.run([BUILT / "keeper_fill", *arguments], check=True, capture_output=True, text=True).stdout
    planned = (line.split() for line in lines.splitlines())
    return {app: (int(due) / 1000, int(end) / 1000) for app, due, end in planned}


async def measure(name, credentials, seconds, folder):
    platform = Platform()
    door = await platform.serve()
    base_url = "http://127.0.0.1:%d" % door.sockets[0].getsockname()[1]
    stopped_at = time.time() - STOPS_S[name]
    plan = await asyncio.to_thread(fill, folder, credentials, base_url, stopped_at)
    stopped_s = time.time() - stopped_at
    server = Server(folder)
    try:
        ready_s, admin = await server.ready()
        at_ready, _ = server.rss_mib()
        begun = time.time()
        while time.time() - begun < seconds and len(platform.asked) < credentials:
            await asyncio.sleep(1)
        watched = time.time()
        page = await asyncio.to_thread(answers, f"http://{admin}/metrics")
        rss, most = server.rss_mib()
        cpu = server.cpu_s()
    finally:
        server.end()
        door.close()
        # The server's connections have ended; whoever talked on them hears of it now.
        await asyncio.sleep(0.1)
    return {"": name, "stopped for s": f"{stopped_s:.0f}"} | seen(plan, platform.asked, (begun, watched)) | {
        "ready s": f"{ready_s:.1f}",
        "MiB when ready": f"{at_ready:.0f}",
        "MiB after": f"{rss:.0f}",
        "MiB at most": f"{most:.0f}",
        "CPU s": f"{cpu:.1f}",
        "metrics KiB": f"{len(page or b'') / 1024:.0f}",
    }


def seen(plan, asked, span):
    """What the platform saw. Late: asked for after the token before was over, or was to be by now and is not yet."""
    begun, watched = span
    per_second = {}
    for at in asked.values():
        per_second[int(at)] = per_second.get(int(at), 0) + 1
    alive = {app for app, (_, end) in plan.items() if end > begun}
    late = sum(asked.get(app, watched) >= plan[app][1] for app in alive)
    behind = sorted(at - max(plan[app][0], begun) for app, at in asked.items())
    return {
        "credentials": len(plan),
        "due at the start": sum(due <= begun for due, _ in plan.values()),
        "over at the start": len(plan) - len(alive),
        "watched s": f"{watched - begun:.0f}",
        "renewals": len(asked),
        "a second, median": f"{statistics.median(per_second.values()):.0f}" if per_second else "0",
        "a second, at most": max(per_second.values(), default=0),
        "behind s, p99": f"{behind[len(behind) * 99 // 100]:.1f}" if behind else "",
        "late": late,
    }


async def main():
    credentials = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 120
    MADE.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in STOPS_S:
        with tempfile.TemporaryDirectory(prefix="keeper.", dir=MADE) as folder:
            rows.append(await measure(name, credentials, seconds, Path(folder)))
    for figure in rows[0]:
        print("| " + " | ".join([figure, *(str(row[figure]) for row in rows)]) + " |")
        if not figure:
            print("| --- |" + " --- |" * len(rows))


asyncio.run(main())

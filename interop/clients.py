"""Starts Mintkeep over a temporary folder, sends every client through its doors, and counts.

Called by interop/run as: clients.py BINARY INSTALLED [NAME…]
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
STARTS_WITHIN_S = 20
CLIENT_WITHIN_S = 90
ROLES = ("issuer", "keeper")
LISTENERS = ("issuer", "keeper", "admin")
# What `mintkeep dev` says when all that it has to say is said, and it serves.
SAID_LAST = "Ctrl-C"

# dialect → what its issuer app and its keeper app are, and where applyToken is
APPS = {
    "wechat": {"issuer": "wx0000000000000001", "keeper": "wx0000000000000002", "secret": "sandbox-wechat-secret"},
    "dingtalk": {"issuer": "dingsandbox0000001", "keeper": "dingsandbox0000002", "secret": "sandbox-dingtalk-secret"},
    "miniprogram": {
        "issuer": "MINI0000000000000001", "keeper": "MINI0000000000000002",
        "path": "/v1/authorizations/applyToken",
    },
    "alipayhk": {
        "issuer": "ALHK0000000000000001", "keeper": "ALHK0000000000000002",
        "path": "/api/open/v1/alipayhk/merchant/applyToken",
    },
}
# name, dialect, how it is run; a fourth: the roles that it can be sent to, where that is not both
CLIENTS = [
    ("wechatpy", "wechat", ["python", "wechat_wechatpy.py"]),
    ("pywe-token", "wechat", ["python", "wechat_pywe.py"]),
    ("co-wechat-api", "wechat", ["node", "wechat_co_wechat_api.js"]),
    ("wechat-api", "wechat", ["node", "wechat_wechat_api.js"]),
    ("WxJava", "wechat", ["java", "WxJava"]),
    ("WxJava mp", "wechat", ["java", "WxJavaMp"]),
    ("silenceper/wechat", "wechat", ["go", "silenceper"]),
    ("fastwego/offiaccount", "wechat", ["go", "fastwego"]),
    ("alibabacloud-dingtalk", "dingtalk", ["python", "dingtalk_alibabacloud.py"]),
    ("dingtalk-stream", "dingtalk", ["python", "dingtalk_stream_sdk.py"]),
    ("@alicloud/dingtalk", "dingtalk", ["node", "dingtalk_alicloud.js"]),
    ("com.aliyun:dingtalk", "dingtalk", ["java", "DingTalkSdk"]),
    ("alibabacloud-go/dingtalk", "dingtalk", ["go", "alibabacloud"]),
    ("alibaba-dingtalk-service-sdk", "dingtalk", ["java", "DingTalkTop"]),
    ("node-dingtalk", "dingtalk", ["node", "dingtalk_node_dingtalk.js"]),
    ("dingtalk-sdk", "dingtalk", ["python", "dingtalk_sdk.py"]),
    ("dingapi", "dingtalk", ["python", "dingtalk_dingapi.py"]),
    # It exchanges codes, which the keeper does by its own API.
    ("JustAuth", "dingtalk", ["java", "JustAuth"], ("issuer",)),
    ("global-open-sdk-python", "miniprogram", ["python", "miniprogram_global_open_sdk.py"]),
    ("global-open-sdk-python", "alipayhk", ["python", "miniprogram_global_open_sdk.py"]),
    ("global-open-sdk-java", "miniprogram", ["java", "GlobalOpenSdk"]),
    ("global-open-sdk-java", "alipayhk", ["java", "GlobalOpenSdk"]),
    # The keeper has no endpoints of the standards.
    ("golang.org/x/oauth2", "dingtalk", ["go", "oauth2"], ("issuer",)),
    ("Authlib", "wechat", ["python", "standard_authlib.py"], ("issuer",)),
    ("openid-client", "dingtalk", ["node", "standard_openid_client.js"], ("issuer",)),
    ("simple-oauth2", "wechat", ["node", "standard_simple_oauth2.js"], ("issuer",)),
    ("MCP", "dingtalk", ["node", "standard_mcp.js"], ("issuer",)),
    ("Spring", "dingtalk", ["java", "SpringIntrospection"], ("issuer",)),
]


class Server:
    """One `mintkeep dev`, from ready to gone, at ports of its own choice."""

    def __init__(self, binary, folder):
        self.folder = Path(folder)
        self.log = self.folder / "server.log"
        any_port = [word for role in LISTENERS for word in (f"--{role}", "127.0.0.1:0")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [binary, "dev", "--data", str(self.folder / "data"), *any_port], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def __enter__(self):
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            said = self.log.read_text()
            if SAID_LAST in said:
                at = dict(re.findall(r"^ +(\w+) +http://(\S+)", said, re.MULTILINE))
                self.issuer, self.keeper, self.admin = (at[role] for role in LISTENERS)
                return self
            time.sleep(0.05)
        ended = self.process.poll()
        self.__exit__()
        state = f"was not ready in {STARTS_WITHIN_S} s" if ended is None else f"ended with {ended}"
        sys.exit(f"interop: mintkeep dev {state}; it said:\n{self.log.read_text()}")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def read(self, name):
        return (self.folder / "data" / name).read_text().strip()

    def surroundings(self, dialect, role):
        """The environment that sends a client through the door of `role`."""
        app = APPS[dialect]
        sandbox = self.folder / "data" / "sandbox"
        env = {
            "MINTKEEP_ROLE": role,
            "MINTKEEP_DIALECT": dialect,
            "MINTKEEP_TOKENS": f"http://{self.keeper if role == 'keeper' else self.issuer}",
            "MINTKEEP_PLATFORM": f"http://{self.issuer}",
            "MINTKEEP_APP": app[role],
            "MINTKEEP_ADMIN": f"http://{self.admin}",
            "MINTKEEP_ADMIN_TOKEN": self.read("admin.token"),
            "MINTKEEP_KEYS": str(sandbox / dialect),
            # Who answers: the platform with its key, or the keeper with the consumer's.
            "MINTKEEP_ANSWERS_KEY": str(sandbox / ("drop_in_public.pem" if role == "keeper" else f"{dialect}/platform_public.pem")),
            # The keeper tells a wrong secret as the live platform does: the page's 40001 makes some clients loop.
            "MINTKEEP_WRONG_SECRET": "40125" if role == "keeper" else "40001",
        }
        if "secret" in app:
            env["MINTKEEP_SECRET"] = app["secret"] if role == "issuer" else self.read("sandbox/consumer.secret")
        else:
            env["MINTKEEP_PATH"] = app["path"]
        return {**os.environ, **env}


def command(kind, script, installed):
    if kind == "python":
        return [str(installed / "python/bin/python"), str(HERE / "python" / script)]
    if kind == "node":
        return ["node", str(HERE / "node" / script)]
    if kind == "go":
        return [str(installed / "go" / script)]
    return ["java", "-cp", f"{installed}/java:{installed}/java/lib/*", script]


def run_client(name, argv, env):
    """Runs one client; gives how many of its checks passed and failed."""
    try:
        ran = subprocess.run(
            argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=CLIENT_WITHIN_S
        )
        said, complained = ran.stdout, ran.stderr
    except subprocess.TimeoutExpired as stuck:
        said, complained = (stuck.stdout or b"").decode(), f"gave up after {CLIENT_WITHIN_S} s"
    lines = said.splitlines()
    passed = sum(line.startswith("ok ") for line in lines)
    failed = sum(line.startswith("not ok ") for line in lines)
    for line in lines:
        if line.startswith(("ok ", "not ok ")):
            print(f"[{env['MINTKEEP_ROLE']}] {line}", flush=True)
    if "done" not in lines:
        failed += 1
        print(f"[{env['MINTKEEP_ROLE']}] not ok {name}: it ran to its end:\n{said[-2000:]}\n{complained[-4000:]}", flush=True)
    return passed, failed


def main():
    binary, installed, wanted = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    os.environ["NODE_PATH"] = str(installed / "node/node_modules")
    os.environ["NODE_NO_WARNINGS"] = "1"
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        os.environ.pop(name, None)  # everything here is on loopback
    total_passed = total_failed = 0
    with tempfile.TemporaryDirectory(prefix="mintkeep-interop-") as folder:
        for role in ROLES:
            for name, dialect, (kind, script), *only in CLIENTS:
                if only and role not in only[0]:
                    continue
                if wanted and not any(word in name for word in wanted):
                    continue
                argv = command(kind, script, installed)
                # Each has a server of its own, or it would be slowed down for the wrong secrets of those before it.
                with Server(binary, folder) as server:
                    passed, failed = run_client(name, argv, server.surroundings(dialect, role))
                total_passed += passed
                total_failed += failed
    print(f"{total_passed} passed, {total_failed} failed")
    sys.exit(1 if total_failed or not total_passed else 0)


main()

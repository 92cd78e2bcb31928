"""dingtalk-stream, the official bot client: its address comes from the environment, its errors go to a logger."""

import logging
import os

from checks import APP, PLATFORM, SECRET, TOKENS, Checks

os.environ["DINGTALK_OPENAPI_ENDPOINT"] = TOKENS  # read when the package is imported

import requests  # noqa: E402
from dingtalk_stream import Credential, DingTalkStreamClient  # noqa: E402


class Heard(logging.Handler):
    """Keeps what the client logs: the only place where it says what went wrong."""

    def __init__(self):
        super().__init__()
        self.text = ""

    def emit(self, record):
        self.text += record.getMessage()


def client_with(secret):
    heard = Heard()
    logger = logging.getLogger(f"dingtalk-stream {secret}")
    logger.propagate = False
    logger.addHandler(heard)
    return DingTalkStreamClient(Credential(APP, secret), logger), heard


def main():
    checks = Checks("dingtalk-stream")
    client, heard = client_with(SECRET)
    first = client.get_access_token()
    checks.that("a token is obtained", bool(first), heard.text)
    # The client has no call of its own that takes the token and speaks plain HTTP; its headers are sent by hand.
    ticket = requests.post(
        PLATFORM + "/v1.0/oauth2/jsapiTickets", headers={"x-acs-dingtalk-access-token": first or ""}, timeout=10
    )
    checks.that_equals("jsapiTickets takes it", ticket.status_code, 200)
    client.reset_access_token()
    checks.that("a repeat gives the same token", first is not None and client.get_access_token() == first)

    client, heard = client_with(SECRET + "x")
    checks.that_equals("a wrong secret gives no token", client.get_access_token(), None)
    checks.that("and its log names invalidClientIdOrSecret", "invalidClientIdOrSecret" in heard.text, heard.text)
    checks.finish()


main()

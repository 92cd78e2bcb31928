"""dingapi, of the older API: its field host is one for the token and the calls that take it."""

import logging

from checks import APP, SECRET, TOKENS, Checks
from dingapi.client import DingApi
from dingapi.exception import DingRequestError


def client(secret, app=APP):
    made = DingApi(app, secret, agent_id=1)
    made.host = TOKENS
    return made


def main():
    logging.disable(logging.CRITICAL)
    checks = Checks("dingapi")
    api = client(SECRET)
    granted = api.get_access_token()
    checks.that("a token is obtained", bool(granted["access_token"]), granted)
    checks.that("its lifetime outlasts the margin of 600 s", 600 < granted["expires_in"] <= 7200, granted["expires_in"])
    checks.that("a repeat gives the same token", api.access_token == granted["access_token"])
    ticket = api.request("GET", "/get_jsapi_ticket", params={"type": "jsapi"})
    checks.that("get_jsapi_ticket takes it, at the same host", bool(ticket["ticket"]), ticket)
    for case, wrong in (("a wrong secret", client(SECRET + "x")), ("an unknown app", client(SECRET, "dingnobody"))):
        checks.raises(f"{case} is 40096", DingRequestError, lambda e: e.errcode, 40096, wrong.get_access_token)
    dead = client(SECRET)
    dead.cache.set("access_token", "dead" * 8)
    checks.raises(
        "a dead token is 40014", DingRequestError, lambda e: e.errcode, 40014,
        lambda: dead.request("GET", "/get_jsapi_ticket"),
    )
    checks.finish()


main()

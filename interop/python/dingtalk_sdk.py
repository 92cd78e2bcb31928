"""dingtalk-sdk, the older API's client: its address is a class's field, its token comes from /gettoken."""

import requests
from checks import APP, PLATFORM, SECRET, TOKENS, Checks
from dingtalk import AppKeyClient, SecretClient
from dingtalk.core.exceptions import DingTalkClientException


class ByKey(AppKeyClient):
    API_BASE_URL = TOKENS


class BySecret(SecretClient):
    """The same pair under the names that it had before: corpid and corpsecret."""

    API_BASE_URL = TOKENS


def main():
    checks = Checks("dingtalk-sdk")
    client = ByKey("dingcorp", APP, SECRET)
    granted = client.get_access_token()
    checks.that("a token is obtained", bool(granted["access_token"]), granted["expires_in"])
    checks.that("its lifetime is a positive number", 0 < granted["expires_in"] <= 7200, granted["expires_in"])
    # The client's own calls are of the older API; the token is the newer one's too.
    ticket = requests.post(
        PLATFORM + "/v1.0/oauth2/jsapiTickets",
        headers={"x-acs-dingtalk-access-token": granted["access_token"]}, timeout=10,
    )
    checks.that_equals("jsapiTickets takes it", ticket.status_code, 200)
    checks.that("a repeat gives the same token", client.get_access_token()["access_token"] == granted["access_token"])
    checks.that("so do the older names", BySecret(APP, SECRET).access_token == granted["access_token"])
    for case, app, secret in (("a wrong secret", APP, SECRET + "x"), ("an unknown app", "dingnobody", SECRET)):
        wrong = ByKey("dingcorp", app, secret)
        checks.raises(f"{case} is 40096", DingTalkClientException, lambda e: e.errcode, 40096, wrong.get_access_token)
    checks.finish()


main()

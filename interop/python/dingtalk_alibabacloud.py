"""alibabacloud-dingtalk, the official client: endpoint and protocol are settings."""

from urllib.parse import urlsplit

from alibabacloud_dingtalk.oauth2_1_0 import models
from alibabacloud_dingtalk.oauth2_1_0.client import Client
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_util.models import RuntimeOptions
from checks import APP, PLATFORM, SECRET, TOKENS, Checks
from Tea.exceptions import TeaException


def client_of(base):
    return Client(Config(protocol="http", region_id="central", endpoint=urlsplit(base).netloc))


def main():
    checks = Checks("alibabacloud-dingtalk")
    issuer, platform = client_of(TOKENS), client_of(PLATFORM)
    asked = models.GetAccessTokenRequest(app_key=APP, app_secret=SECRET)
    granted = issuer.get_access_token(asked).body
    checks.that("a token is obtained", bool(granted.access_token), granted.expire_in)
    checks.that("its lifetime is a positive number", 0 < granted.expire_in <= 7200, granted.expire_in)

    def ticket(token):
        headers = models.CreateJsapiTicketHeaders(x_acs_dingtalk_access_token=token)
        return platform.create_jsapi_ticket_with_options(headers, RuntimeOptions()).body

    checks.that("jsapiTickets takes it", bool(ticket(granted.access_token).jsapi_ticket), "no ticket")
    again = issuer.get_access_token(asked).body
    checks.that("a repeat gives the same token", again.access_token == granted.access_token)

    checks.raises(
        "a dead token is InvalidAuthentication", TeaException, lambda e: e.code, "InvalidAuthentication",
        lambda: ticket("dead" * 8),
    )
    for case, app, secret in (("a wrong secret", APP, SECRET + "x"), ("an unknown app", "dingnobody", SECRET)):
        wrong = models.GetAccessTokenRequest(app_key=app, app_secret=secret)
        checks.raises(
            f"{case} is invalidClientIdOrSecret", TeaException, lambda e: e.code, "invalidClientIdOrSecret",
            lambda wrong=wrong: issuer.get_access_token(wrong),
        )
    checks.finish()


main()

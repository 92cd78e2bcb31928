"""wechatpy: the token's address is written into a method, so it is overridden in a subclass."""

from checks import APP, AT_THE_KEEPER, PLATFORM, SECRET, TOKENS, WRONG_SECRET, Checks
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException


class Client(WeChatClient):
    API_BASE_URL = PLATFORM + "/cgi-bin/"

    def fetch_access_token(self):
        asked = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        return self._fetch_access_token(url=TOKENS + "/cgi-bin/token", params=asked)


def main():
    checks = Checks("wechatpy")
    client = Client(APP, SECRET)
    granted = client.fetch_access_token()
    first = granted["access_token"]
    checks.that("a token is obtained", 32 < len(first) <= 512, len(first))
    checks.that("its lifetime is a positive number", 0 < granted["expires_in"] <= 7200, granted["expires_in"])
    checks.that("getcallbackip takes it", client.misc.get_wechat_ips(), "no addresses")

    second = client.fetch_access_token()["access_token"]
    if AT_THE_KEEPER:
        checks.that("a repeat gives the same token", first == second)
    else:
        checks.that("a repeat gives another token", first != second)
        client.session.set(client.access_token_key, first)
        checks.that("the predecessor is good for a while", client.misc.get_wechat_ips(), "no addresses")
        client.fetch_access_token()
        strict = Client(APP, SECRET, access_token=first, auto_retry=False)
        checks.raises("a dead token is 40001", WeChatClientException, lambda e: e.errcode, 40001, strict.misc.get_wechat_ips)

    client.session.set(client.access_token_key, "dead" * 10)
    checks.that("a dead token heals itself", client.misc.get_wechat_ips(), "no addresses")

    checks.raises(
        f"a wrong secret is {WRONG_SECRET}", WeChatClientException, lambda e: e.errcode, WRONG_SECRET,
        Client(APP, SECRET + "x").fetch_access_token,
    )
    checks.raises(
        "an unknown app is 40013", WeChatClientException, lambda e: e.errcode, 40013,
        Client("wx00000000000000ff", SECRET).fetch_access_token,
    )
    checks.finish()


main()

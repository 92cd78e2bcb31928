"""global-open-sdk-python, the official gateway client: HTTPS on port 443 is written into it, so its connection is replaced."""

import json
import os
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from checks import APP, AT_THE_KEEPER, PLATFORM, TOKENS, Checks
from com.alipay.ams.api.default_alipay_client import DefaultAlipayClient
from com.alipay.ams.api.exception.exception import AlipayApiException
from com.alipay.ams.api.model.grant_type import GrantType
from com.alipay.ams.api.net import default_http_rpc
from com.alipay.ams.api.request.auth.alipay_auth_apply_token_request import AlipayAuthApplyTokenRequest
from com.alipay.ams.api.response.auth.alipay_auth_apply_token_response import AlipayAuthApplyTokenResponse
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEYS = Path(os.environ["MINTKEEP_KEYS"])
PATH = os.environ["MINTKEEP_PATH"]
CUSTOMER = "2160000000000001"
DIALECT = os.environ["MINTKEEP_DIALECT"]
USED_CODE = {"miniprogram": "USED_CODE", "alipayhk": "INVALID_AUTHCODE"}[DIALECT]
USED_REFRESH_TOKEN = {"miniprogram": "USED_REFRESH_TOKEN", "alipayhk": "PROCESS_FAIL"}[DIALECT]
WRONG_SIGNATURE = {"miniprogram": "INVALID_SIGNATURE", "alipayhk": "PARAM_ILLEGAL"}[DIALECT]


def plain_connection(url, timeout=default_http_rpc.DEFAULT_TIMEOUT):
    return default_http_rpc.http_client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)


setattr(default_http_rpc, "__get_http_connection", plain_connection)


class Inquiry:
    """A request of the same family that this client has no class for; its base class is all that it takes."""

    def __init__(self, token):
        self.path = "/v1/customers/user/inquiryUserInfoByAccessToken"
        self.http_method = AlipayAuthApplyTokenRequest().http_method
        self.token = token

    def to_ams_json(self):
        return json.dumps({"accessToken": self.token})


def pkcs1_pem(key):
    """The client can't read a PKCS#8 block: it puts a second header around it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def asked(url, body, content_type, authorization):
    request = Request(url, data=body.encode(), headers={"Authorization": authorization, "Content-Type": content_type})
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def fresh_code():
    body = json.dumps({"client_id": APP, "customer_id": CUSTOMER, "scopes": ["auth_user"]})
    bearer = "Bearer " + os.environ["MINTKEEP_ADMIN_TOKEN"]
    return asked(os.environ["MINTKEEP_ADMIN"] + "/admin/v1/codes", body, "application/json", bearer)["auth_code"]


def introspected(token):
    basic = "Basic " + b64encode(b"gateway-sandbox:sandbox-gateway-secret").decode()
    form = "application/x-www-form-urlencoded"
    return asked(PLATFORM + "/oauth2/introspect", "token=" + token, form, basic)


def main():
    checks = Checks(f"global-open-sdk-python ({DIALECT})")
    own_key = load_pem_private_key((KEYS / "app_private.pem").read_bytes(), password=None)
    platform_key = (KEYS / "platform_public.pem").read_text()
    answers_key = Path(os.environ["MINTKEEP_ANSWERS_KEY"]).read_text()
    client = DefaultAlipayClient(TOKENS, APP, pkcs1_pem(own_key), answers_key)

    def apply_token(code=None, refresh_token=None, client=client):
        request = AlipayAuthApplyTokenRequest()
        request.path = PATH  # the client's own has a prefix of its gateway's
        request.grant_type = GrantType.AUTHORIZATION_CODE if code else GrantType.REFRESH_TOKEN
        request.auth_code = code
        request.refresh_token = refresh_token
        body = client.execute(request)  # checks the answer's signature
        return AlipayAuthApplyTokenResponse(body), json.loads(body)

    code = fresh_code()
    granted, body = apply_token(code)
    checks.that_equals("a code buys a token", granted.result.result_code, "SUCCESS")
    checks.that("token, refresh token, both times and the customer are there", all(
        (granted.access_token, granted.refresh_token, granted.access_token_expiry_time,
         granted.refresh_token_expiry_time, body.get("customerId"))
    ), sorted(body))

    if DIALECT == "miniprogram":
        platform = DefaultAlipayClient(PLATFORM, APP, pkcs1_pem(own_key), platform_key)
        who = json.loads(platform.execute(Inquiry(granted.access_token)))
        checks.that_equals("inquiryUserInfo takes it", who["result"]["resultCode"], "SUCCESS")
        checks.that_equals("and names the customer", who.get("userInfo", {}).get("userId"), CUSTOMER)
    else:  # AlipayHK's page has no call that takes the token; a gateway asks about it
        told = introspected(granted.access_token)
        checks.that_equals("introspection calls it active", told.get("active"), True)
        checks.that_equals("and names the customer", told.get("sub"), CUSTOMER)

    refreshed, _ = apply_token(refresh_token=granted.refresh_token)
    checks.that_equals("its refresh token buys the next", refreshed.result.result_code, "SUCCESS")
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    impostor = DefaultAlipayClient(TOKENS, APP, pkcs1_pem(stranger), answers_key)
    if AT_THE_KEEPER:
        meet_the_keeper(checks, apply_token, impostor, (code, granted.access_token, refreshed.access_token))
    else:
        meet_the_issuer(checks, apply_token, impostor, (code, granted, refreshed), client)
    checks.finish()


def meet_the_keeper(checks, apply_token, impostor, told):
    """What the keeper has, everybody gets: it keeps the refresh token to itself, and takes a code once."""
    code, first, refreshed = told
    checks.that_equals("which is still good", introspected(refreshed).get("active"), True)
    again, _ = apply_token(code)
    checks.that_equals("the same code gives the customer's token again", again.access_token, first)
    try:
        apply_token(fresh_code(), client=impostor)
        checks.that("a wrong key is refused", False, "it was not")
    except AlipayApiException as refused:  # nobody's answer: there is no key that it could be signed with
        checks.that("a wrong key is refused, unsigned", "signature not exist" in str(refused), str(refused))


def meet_the_issuer(checks, apply_token, impostor, told, client):
    """A code and a refresh token are good once, and every answer is signed."""
    code, granted, refreshed = told
    checks.that("which is another", refreshed.access_token not in (None, granted.access_token))

    class NextSecond(AlipayAuthApplyTokenRequest):
        """The same fields in another body: a different request, where the identical one would be answered again."""

        def to_ams_json(self):
            return json.dumps(self.to_ams_dict(), default=lambda o: o.to_ams_dict())

    def present_again(**fields):
        request = NextSecond()
        request.path = PATH
        for name, value in fields.items():
            setattr(request, name, value)
        return json.loads(client.execute(request))["result"]["resultCode"]

    checks.that_equals(
        f"a used refresh token is {USED_REFRESH_TOKEN}",
        present_again(grant_type=GrantType.REFRESH_TOKEN, refresh_token=granted.refresh_token), USED_REFRESH_TOKEN,
    )
    checks.that_equals(
        f"a used code is {USED_CODE}", present_again(grant_type=GrantType.AUTHORIZATION_CODE, auth_code=code), USED_CODE
    )
    refused, _ = apply_token(fresh_code(), client=impostor)
    checks.that_equals(f"a wrong key is {WRONG_SIGNATURE}, signed", refused.result.result_code, WRONG_SIGNATURE)


main()

"""Authlib: a client of the standards, at the issuer's token endpoint, introspection and revocation."""

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from checks import APP, PLATFORM, SECRET, Checks

GATEWAY = ("gateway-sandbox", "sandbox-gateway-secret")
METHODS = ("client_secret_basic", "client_secret_post")


def session(client, method):
    return OAuth2Session(*client, token_endpoint_auth_method=method, revocation_endpoint_auth_method=method)


def main():
    checks = Checks("Authlib")
    found = requests.get(PLATFORM + "/.well-known/oauth-authorization-server", timeout=10).json()

    def introspected(token, method):
        asked = session(GATEWAY, method).introspect_token(found["introspection_endpoint"], token=token)
        return asked.json()

    for method in METHODS:
        checks.that(f"the metadata names {method}", method in found["token_endpoint_auth_methods_supported"], found)
        app = session((APP, SECRET), method)
        token = app.fetch_token(found["token_endpoint"], grant_type="client_credentials")
        checks.that(f"a token is obtained by {method}", token["token_type"] == "Bearer" and token["expires_in"] > 0, token)
        told = introspected(token["access_token"], method)
        checks.that_equals(f"introspection by {method} names the app", told.get("client_id"), APP)
        revoked = app.revoke_token(found["revocation_endpoint"], token=token["access_token"])
        checks.that_equals(f"revocation by {method} is taken", revoked.status_code, 200)
        checks.that_equals("and the token is not active", introspected(token["access_token"], method), {"active": False})

    def refused(client, **asked):
        return lambda: session(client, METHODS[0]).fetch_token(found["token_endpoint"], **asked)

    own = {"grant_type": "client_credentials"}
    for code, call in (
        ("invalid_client", refused((APP, SECRET + "x"), **own)),
        ("invalid_scope", refused((APP, SECRET), scope="auth_user", **own)),
        ("unsupported_grant_type", refused((APP, SECRET), grant_type="client_credential")),
        ("invalid_grant", refused((APP, SECRET), grant_type="authorization_code", code="dead")),
    ):
        checks.raises(f"{code} is told", OAuthError, lambda e: e.error, code, call)
    checks.finish()


main()

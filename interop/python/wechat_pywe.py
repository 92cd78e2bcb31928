"""pywe-token and pywe-ticket: their host is a field, and the ticket's token is a parameter."""

import warnings

from checks import APP, AT_THE_KEEPER, PLATFORM, SECRET, TOKENS, WRONG_SECRET, Checks
from pywe_exception import WeChatException
from pywe_ticket import Ticket
from pywe_token import Token

TOKEN_PATH = "/cgi-bin/token?grant_type=client_credential&appid={appid}&secret={secret}"
TICKET_PATH = "/cgi-bin/ticket/getticket?access_token={access_token}&type={type}"


def client(secret, app=APP):
    made = Token(app, secret)
    made.WECHAT_ACCESS_TOKEN = TOKENS + TOKEN_PATH
    return made


def ticket(token):
    made = Ticket(APP, SECRET, token=token)
    made.WECHAT_TICKET = PLATFORM + TICKET_PATH
    return made.ticket(type="jsapi")


def code(error):
    return error.args[0]["errcode"]


def main():
    warnings.simplefilter("ignore")
    checks = Checks("pywe-token")
    tokens = client(SECRET)
    first = tokens.access_token()
    checks.that("a token is obtained", 32 < len(first) <= 512, len(first))
    drawn = ticket(first)
    checks.that("it draws a ticket", bool(drawn), drawn)
    second = tokens.refresh_access_token()
    if AT_THE_KEEPER:
        checks.that("a refresh gives a token that is good", bool(ticket(second)))
    else:
        checks.that("what was just obtained is kept", tokens.access_token() == second)
        checks.that("a refresh gives another token", first != second)
    checks.raises("a dead token is 40001", WeChatException, code, 40001, lambda: ticket("dead" * 10))
    checks.raises(
        f"a wrong secret is {WRONG_SECRET}", WeChatException, code, WRONG_SECRET, client(SECRET + "x").access_token
    )
    checks.raises(
        "an unknown app is 40013", WeChatException, code, 40013, client(SECRET, "wx00000000000000ff").access_token
    )
    checks.finish()


main()

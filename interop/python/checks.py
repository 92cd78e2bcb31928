"""What a client's runner says, one line per check, and where it is told to go."""

import os
import sys

TOKENS = os.environ["MINTKEEP_TOKENS"]
"""Base URL of who hands out tokens: the issuer, or the keeper's drop-in."""
PLATFORM = os.environ["MINTKEEP_PLATFORM"]
"""Base URL of who takes tokens: always the issuer."""
APP = os.environ["MINTKEEP_APP"]
SECRET = os.environ.get("MINTKEEP_SECRET", "")
WRONG_SECRET = int(os.environ["MINTKEEP_WRONG_SECRET"])
"""WeChat's code for one."""
AT_THE_KEEPER = os.environ["MINTKEEP_ROLE"] == "keeper"


class Checks:
    """Prints `ok` or `not ok` per check; `finish` ends the process accordingly."""

    def __init__(self, client):
        self.client = client
        self.failed = 0

    def that(self, sentence, holds, seen=""):
        if holds:
            print(f"ok {self.client}: {sentence}", flush=True)
        else:
            self.failed += 1
            print(f"not ok {self.client}: {sentence}: {seen!r}", flush=True)

    def that_equals(self, sentence, seen, wanted):
        self.that(sentence, seen == wanted, f"{seen}, not {wanted}")

    def raises(self, sentence, error, code_of, wanted, call):
        """`call` must raise the library's own `error`, whose code `code_of` reads."""
        try:
            answer = call()
        except error as raised:
            self.that_equals(sentence, code_of(raised), wanted)
        else:
            self.that(sentence, False, f"no error but {type(answer).__name__}")

    def finish(self):
        print("done", flush=True)
        sys.exit(1 if self.failed else 0)

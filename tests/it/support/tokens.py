"""Compares tokens with botocore's own, made for the same moment: tokens.py FILE, a list of inputs and tokens."""

import datetime
import json
import os
import sys

import botocore.auth
import botocore.session


def moment(text):
    return datetime.datetime.strptime(text, "%Y%m%dT%H%M%SZ")


class Fixed(datetime.datetime):
    now_is = None

    @classmethod
    def utcnow(cls):
        return cls.now_is

    @classmethod
    def now(cls, tz=None):
        return cls.now_is.replace(tzinfo=tz)


with open(sys.argv[1]) as file:
    cases = json.load(file)
session = botocore.session.Session()
client = session.create_client("rds", region_name=os.environ["AWS_REGION"])
fixed = [name for name in ("get_current_datetime",) if hasattr(botocore.auth, name)]
wrong = 0
for case in cases:
    now = moment(case["now"])
    if fixed:
        botocore.auth.get_current_datetime = lambda *_, **__: now
    else:
        Fixed.now_is = now
        botocore.auth.datetime.datetime = Fixed
    expected = client.generate_db_auth_token(case["host"], case["port"], case["user"])
    if case["token"] != expected:
        wrong += 1
        print(f"{case}\n  botocore: {expected}", file=sys.stderr)
print(f"{len(cases)} compared")
sys.exit(1 if wrong or not cases else 0)

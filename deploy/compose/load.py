"""Asks for more than the API can do, in waves: half of it, then twice as much, a minute each. Says once a second how it goes."""

import collections
import sys
import threading
import time
import urllib.error
import urllib.request

CAPACITY = 40  # requests a second
url = sys.argv[1]
ends = collections.Counter()


def ask():
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            ends[str(response.status)] += 1
    except urllib.error.HTTPError as error:
        ends[f"{error.code} {error.headers.get('x-sluicegate-reason', '')}".strip()] += 1
    except OSError:
        ends["no answer"] += 1


begin = time.monotonic()
asked = 0
due = 0.0
while True:
    now = time.monotonic() - begin
    rate = CAPACITY * (0.5 if int(now) // 60 % 2 == 0 else 2)
    due += rate / 20
    while asked < due:
        threading.Thread(target=ask, daemon=True).start()
        asked += 1
    if int(now) != int(now + 0.05):
        print(f"{rate:3.0f}/s asked:", dict(ends), flush=True)
        ends.clear()
    time.sleep(0.05)

"""Calls the service in every way that it has. Its second argument says what is to be shown."""

import sys
import time

import grpc

address, what = sys.argv[1], sys.argv[2]
channel = grpc.insecure_channel(address)
unary = channel.unary_unary("/test.Api/Unary")
stream = channel.unary_stream("/test.Api/Stream")
work = channel.unary_unary("/test.Api/Work")
wait = channel.unary_unary("/test.Api/Wait")


def load():
    """Many at once, unary and streaming."""
    calls = [unary.future(str(n).encode(), timeout=60) for n in range(100)]
    streams = [stream(str(n).encode(), timeout=60) for n in range(50)]
    for n, call in enumerate(calls):
        assert call.result() == str(n).encode()
    for n, replies in enumerate(streams):
        assert list(replies) == [f"{n}{i}".encode() for i in range(5)]


def status():
    """The server's own status, its message and its trailers arrive as they were sent."""
    try:
        unary(b"missing", timeout=60)
        raise AssertionError("it was found")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        assert error.details() == "no such thing", error
        assert ("x-detail", "none") in error.trailing_metadata(), error


def cancelled():
    """Calls that are given up while the server works on them."""
    for _ in range(5):
        calls = [work.future(b"", timeout=60) for _ in range(4)]
        time.sleep(0.05)
        for call in calls:
            call.cancel()
    assert unary(b"after", timeout=60) == b"after"


def told():
    """Calls that are given up, and a server that heeds it."""
    for _ in range(5):
        calls = [wait.future(b"", timeout=60) for _ in range(4)]
        time.sleep(0.1)
        for call in calls:
            call.cancel()
    assert unary(b"after", timeout=60) == b"after"


def rejected():
    """Calls beyond the limit, without a queue."""
    calls = [work.future(b"", timeout=60) for _ in range(10)]
    codes = [call.code() for call in calls]
    shed = [call for call in calls if call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert codes.count(grpc.StatusCode.OK) == 2 and len(shed) == 8, codes
    assert all(call.details() == "no_permit" for call in shed)


globals()[what]()
print("done", what)

"""A gRPC service that knows how many calls it works on. Says its port; says what it saw when its stdin ends."""

import sys
import threading
import time
from concurrent import futures

import grpc

lock = threading.Lock()
inside = peak = total = cancelled = 0


class Inside:
    def __enter__(self):
        global inside, peak, total
        with lock:
            inside, total = inside + 1, total + 1
            peak = max(peak, inside)

    def __exit__(self, *_):
        global inside
        with lock:
            inside -= 1


def unary(request, context):
    with Inside():
        time.sleep(0.01)
        if request == b"missing":
            context.set_trailing_metadata((("x-detail", "none"),))
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        return request


def stream(request, context):
    with Inside():
        for n in range(5):
            time.sleep(0.005)
            yield request + str(n).encode()


def work(request, context):
    """Works on, whatever becomes of its client."""
    with Inside():
        time.sleep(0.2)
        return b"worked"


def wait(request, context):
    """Waits until its client has left."""
    global cancelled
    left = threading.Event()
    context.add_callback(left.set)
    with Inside():
        if left.wait(30):
            with lock:
                cancelled += 1
        return b"waited"


methods = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Stream": grpc.unary_stream_rpc_method_handler(stream),
    "Work": grpc.unary_unary_rpc_method_handler(work),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=100))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Api", methods),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
print(f"peak {peak} total {total} inside {inside} cancelled {cancelled}", flush=True)
server.stop(None)

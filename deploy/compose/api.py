"""An API with four places: a request takes 100 ms when it has one, and the longer the more are inside beyond that."""

import http.server
import sys
import threading
import time

PLACES, WORK = 4, 0.1
lock, inside = threading.Lock(), 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global inside
        with lock:
            inside += 1
            crowd = max(1, inside / PLACES)
        time.sleep(WORK * crowd * crowd)
        with lock:
            inside -= 1
        text = b"done\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 1000


server = Server(("", int(sys.argv[1]) if len(sys.argv) > 1 else 3000), Handler)
print("listening on", server.server_address[1], flush=True)
server.serve_forever()

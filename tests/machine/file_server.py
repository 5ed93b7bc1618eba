"""file_server.py --log FILE --port-file FILE [--tls CERT KEY] DIR

A server of the files in DIR that does what none should, on 127.0.0.1. What it does
to a file is the first word of its path, and the rest is the file:

    /fine/k.deb             it, with Range
    /short/k.deb            the connection ends after half of what was left (the first 2 times)
    /stall/k.deb            half of it, and then nothing
    /slow/k.deb             in two seconds, with Range
    /wrong/k.deb            a byte is not what it was
    /longer/k.deb           with more behind it
    /shorter/k.deb          complete with half of it
    /endless/k.deb          without a length, and without an end
    /redirect/k.deb         is at /fine/k.deb
    /loop/k.deb             is always somewhere else
    /downgrade/k.deb        is at http://, on the port after this one's, where nobody is
    /login/k.deb            401, with a challenge that names another server

A request is a line of the log: its path, the answer's status, its Range and its
Authorization.
"""
import argparse
import collections
import http.server
import os
import socketserver
import ssl
import sys
import threading
import time

PIECE = 65536


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def log_request(self, code="-", size="-"):
        self.server.log(f"{self.path} {int(code)} range={self.headers.get('Range', '-')}"
                        f" auth={self.headers.get('Authorization', 'none')}")

    def empty(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        how, _, name = self.path.strip("/").partition("/")
        path = os.path.join(self.server.directory, os.path.basename(name))
        if how == "redirect":
            return self.empty(302, Location=f"/fine/{name}")
        if how == "loop":
            return self.empty(302, Location=f"/loop/{name}?{time.time_ns()}")
        if how == "downgrade":
            return self.empty(302, Location=f"http://localhost:{self.server.server_address[1] + 1}/fine/{name}")
        if how == "login":
            return self.empty(401, WWW_Authenticate='Bearer realm="https://localhost:1/token",service="s"')
        if not os.path.exists(path):
            return self.empty(404)
        with open(path, "rb") as f:
            data = f.read()
        return self.answer(how, data)

    def answer(self, how, data):
        if how == "wrong":
            data = bytes([data[0] ^ 1]) + data[1:]
        elif how == "longer":
            data += b"and more"
        elif how == "shorter":
            data = data[:len(data) // 2]
        elif how == "endless":
            return self.endless(data)
        start = self.start_of_range(len(data))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        return self.body(how, data[start:])

    def start_of_range(self, size):
        first = (self.headers["Range"] or "bytes=0-")[len("bytes="):].partition("-")[0]
        return int(first) if int(first) < size else 0

    def body(self, how, data):
        if how == "stall" or how == "short" and self.server.again(self.path, 2):
            self.close_connection = True
            self.wfile.write(data[:(len(data) + 1) // 2])
            if how == "stall":
                self.rfile.read()
            return
        piece = max(len(data) // 20, 1) if how == "slow" else PIECE
        for at in range(0, len(data), piece):
            self.wfile.write(data[at:at + piece])
            if how == "slow":
                time.sleep(0.1)

    def endless(self, data):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        while True:
            self.wfile.write(b" " * PIECE)
            time.sleep(0.01)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, directory, log, tls):
        super().__init__(("127.0.0.1", 0), Handler)
        self.directory, self.log_file = directory, log
        self.lock, self.seen = threading.Lock(), collections.Counter()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def log(self, text):
        with self.lock:
            self.log_file.write(text + "\n")
            self.log_file.flush()

    def again(self, path, times):
        with self.lock:
            self.seen[path] += 1
            return self.seen[path] <= times

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--log", type=argparse.FileType("a"), required=True)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("directory")
    args = parser.parse_args()
    server = Server(args.directory, args.log, args.tls)
    with open(args.port_file + ".new", "w") as f:
        f.write(str(server.server_address[1]))
    os.rename(args.port_file + ".new", args.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""tls_server.py DIR: what tls_test.c talks to.

Makes throw-away CAs and certificates in DIR with the program openssl, listens
on ports of 127.0.0.1, and prints a line "NAME PORT" for each and "ready" when
all do. Ends when its standard input does.
"""
import base64
import http.server
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

os.chdir(sys.argv[1])
BODY = b"a" * 1000000
RSA = ["rsa:2048"]
P256 = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
P384 = ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def root(name, digest):
    openssl("req", "-x509", "-newkey", *RSA, "-nodes", "-keyout", name + ".key",
            "-out", name + ".pem", "-subj", "/CN=" + name, digest, "-days", "2")


def issue(name, issuer, key, extension, digest="-sha256", days="2"):
    with open(name + ".ext", "w", encoding="ascii") as f:
        f.write(extension)
    openssl("req", "-newkey", *key, "-nodes", "-keyout", name + ".key",
            "-out", name + ".csr", "-subj", "/CN=" + name)
    openssl("x509", "-req", "-in", name + ".csr", "-out", name + ".pem",
            "-CA", issuer + ".pem", "-CAkey", issuer + ".key", "-CAcreateserial",
            "-extfile", name + ".ext", digest, "-days", days)


NAMES = "subjectAltName=DNS:server.test,IP:127.0.0.1"
root("root", "-sha1")       # as many of the real ones
root("other", "-sha256")
issue("expired", "root", P256, NAMES, days="0")
issue("between", "root", P384, "basicConstraints=critical,CA:TRUE")
issue("tls13", "between", P256, NAMES)
issue("tls12", "root", RSA, NAMES)
issue("sha1", "root", P256, NAMES, digest="-sha1")
with open("tls13.pem", "a", encoding="ascii") as chain, \
        open("between.pem", encoding="ascii") as between:
    chain.write(between.read())
time.sleep(1.1)             # until "expired" is


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.path == "/to-plain":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{plain}/")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)


class Proxy(Handler):
    """CONNECT for user:word, to 127.0.0.1 whatever the name."""

    def do_CONNECT(self):
        login = "Basic " + base64.b64encode(b"user:word").decode()
        if self.headers["Proxy-Authorization"] != login:
            self.send_error(407)
            return
        far = socket.create_connection(("127.0.0.1", int(self.path.split(":")[-1])))
        self.send_response(200)
        self.end_headers()
        other = {self.connection: far, far: self.connection}
        while True:
            for end in select.select(other, [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)


def serve(name, context=None, handler=Handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *args: None
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(name, server.server_port)
    return server.server_port


def tls(name, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")      # for "sha1"
    context.load_cert_chain(name + ".pem", name + ".key")
    if version:
        context.minimum_version = context.maximum_version = version
    serve(name, context)


plain = serve("plain")
serve("proxy", handler=Proxy)
tls("tls13", ssl.TLSVersion.TLSv1_3)
tls("tls12", ssl.TLSVersion.TLSv1_2)
tls("sha1")
tls("expired")
print("ready", flush=True)
sys.stdin.read()

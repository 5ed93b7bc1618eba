"""registry.py [--tls CERT KEY] [--auth basic|bearer] [--log FILE] [--elsewhere HOST] [--fault NAME[=N]]... LAYOUT...
registry.py --proxy [--log FILE]

A registry of OCI image layouts that does what no registry should. Listens on
127.0.0.1, says at which port in its first line of output, and runs until it is
killed. A repository's name is that of its layout's directory, below any path:
/srv/box is localhost:PORT/box:t and localhost:PORT/a/b/box@sha256:...

With --auth it wants user u with password p. A line of the log is a request:

    registry GET /v2/box/blobs/sha256:... 206 auth=basic range=bytes=9- host=localhost:1

where the first word is "elsewhere" for what it redirects to (another port, as
HOST, which is localhost by default) and "proxy" for the other thing that this
can be: a proxy that knows CONNECT, and connects to 127.0.0.1 whatever the name.

Faults; with N it is the first N requests of each path that have them.
"""
import argparse
import base64
import collections
import hashlib
import http.server
import json
import os
import secrets
import select
import socket
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse

FAULTS = {
    # of layers
    "wrong-digest": "a byte of each is not what it was",
    "huge": "without a length, and without an end",
    "lying-size": "longer than the manifest says",
    "lying-size-small": "complete with half of what the manifest says",
    "stall": "half of each, and then nothing",
    # of all blobs
    "short": "the connection ends after half (the first 2 times)",
    "no-range": "Range is ignored",
    "slow": "each takes a second",
    "redirect": "another port has them",
    "redirect-http": "another port has them, without TLS",
    "redirect-loop": "each is always somewhere else",
    # of what the tag names
    "not-json": "it is no JSON",
    "deep-index": "an index of an index of an index, 1000 times",
    "self-index": "an index of itself",
    "no-platform": "an index without linux/amd64",
    "foreign-type": "an artifact and no image",
    "many-layers": "600 layers",
    # of manifests
    "endless-manifest": "without an end",
    "wrong-manifest": "asked for by digest, it is that of another repository",
    "huge-header": "with a header of 1 MiB",
    # of tokens
    "bad-token": "what should have one is junk",
    "token-loop": "none is ever good enough",
    "token-http": "to be had elsewhere, without TLS",
    "token-expires": "good for 2 requests (or N)",
    # of everything
    "slow-headers": "a byte each second",
    "500-first": "503 (the first 2 times)",
    "429-always": "429, and to come back in an hour",
    "rude": "403, with lines and escape sequences in the message",
}
TIMES = {"short": 2, "500-first": 2, "token-expires": 2}
INDEX = "application/vnd.oci.image.index.v1+json"
BASIC = "Basic " + base64.b64encode(b"u:p").decode()
PIECE = 65536


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Faults:
    def __init__(self, words):
        self.limits, self.seen, self.lock = {}, collections.Counter(), threading.Lock()
        for word in words:
            name, _, times = word.partition("=")
            if name not in FAULTS:
                sys.exit(f"registry.py: no fault {name}; known are: {' '.join(FAULTS)}")
            self.limits[name] = int(times) if times else TIMES.get(name)

    def __contains__(self, name):
        return name in self.limits

    def hits(self, name, path):
        """Whether this request of PATH has it."""
        if name not in self.limits:
            return False
        with self.lock:
            self.seen[name, path] += 1
            return self.limits[name] is None or self.seen[name, path] <= self.limits[name]


class Repository:
    def __init__(self, layout, faults):
        def read(name):
            with open(f"{layout}/{name}", "rb") as f:
                return f.read()

        self.manifests = {}         # digest: media type and bytes
        entry = json.loads(read("index.json"))["manifests"][0]
        where = f"{layout}/blobs/sha256"
        self.blobs = {"sha256:" + name: f"{where}/{name}" for name in os.listdir(where)}
        data = read(self.blobs.pop(entry["digest"])[len(layout) + 1:])
        self.tag(entry["mediaType"], data)
        self.layers = {layer["digest"] for layer in json.loads(data)["layers"]}
        self.spoil(faults, json.loads(data))

    def tag(self, media, data):
        """Makes this what the tag names; its descriptor."""
        self.tagged = digest_of(data)
        self.manifests[self.tagged] = media, data
        return {"mediaType": media, "digest": self.tagged, "size": len(data)}

    def tag_json(self, value):
        return self.tag(value["mediaType"], json.dumps(value).encode())

    def tag_index(self, *entries):
        return self.tag_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)})

    def spoil(self, faults, manifest):
        here = {"os": "linux", "architecture": "amd64"}
        if "not-json" in faults:
            self.tag(manifest["mediaType"], b"<html>not JSON</html>")
        if "many-layers" in faults:
            self.tag_json({**manifest, "layers": (manifest["layers"] * 600)[:600]})
        if "foreign-type" in faults:
            self.tag_json({**manifest, "artifactType": "application/vnd.example.thing",
                           "config": {**manifest["config"], "mediaType": "application/vnd.oci.empty.v1+json"},
                           "layers": [{**x, "mediaType": "application/vnd.example.part"} for x in manifest["layers"]]})
        if "no-platform" in faults:
            entry = self.tag_json(manifest)
            self.tag_index({**entry, "platform": {"os": "linux", "architecture": "s390x"}},
                           {**entry, "platform": {"os": "windows", "architecture": "amd64"}})
        if "deep-index" in faults:
            entry = self.tag_json(manifest)
            for _ in range(1000):
                entry = self.tag_index({**entry, "platform": here})
        if "self-index" in faults:
            # Nobody can make one that has its own digest.
            entry = {"mediaType": INDEX, "digest": "sha256:" + "1" * 64, "size": 999, "platform": here}
            entry["size"] = self.tag_index(entry)["size"]
            self.manifests[entry["digest"]] = self.manifests[self.tagged]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def log_request(self, code="-", size="-"):
        """Once for each request: send_response calls it."""
        headers = getattr(self, "headers", {})      # none when the first line was no request
        auth = headers.get("Authorization", "none").split()[0].lower()
        request = ascii(" ".join(self.requestline.split()[:2]))[1:-1]   # or a handshake that nobody expected
        self.server.log(f"{self.server.name} {request} {int(code)} auth={auth}"
                        f" range={headers.get('Range', '-')} host={headers.get('Host', '-')}")

    # How to answer.

    def reply(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def error(self, status, code, message, **headers):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.reply(status, body, Content_Type="application/json", **headers)

    def until_gone(self):
        """Nothing more, until the client has had enough."""
        self.close_connection = True
        self.rfile.read()

    def without_end(self, data, media):
        """DATA, zeros, and no end; slowly enough for a disk that gets it all."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", media)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        while True:
            self.wfile.write(b" " * PIECE)
            time.sleep(0.01)

    # What is asked for.

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        faults = self.server.faults
        if "slow-headers" in faults:
            self.log_request(200)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                time.sleep(1)
                self.wfile.write(b"a")
        if faults.hits("500-first", self.path):
            return self.error(503, "UNAVAILABLE", "not now", Retry_After="0")
        if "429-always" in faults:
            return self.error(429, "TOOMANYREQUESTS", "too many requests", Retry_After="3600")
        path = urllib.parse.urlsplit(self.path).path
        if path == "/token":
            return self.token()
        words = path.strip("/").split("/")
        if self.server.name == "elsewhere":
            return self.blob(self.server.repositories[words[0]], words[1])
        if words == ["v2"]:
            return self.authorized(None) and self.reply(200, b"{}", Content_Type="application/json")
        if len(words) < 4 or words[0] != "v2" or words[-2] not in ("manifests", "blobs"):
            return self.error(404, "UNSUPPORTED", "no such thing")
        name = "/".join(words[1:-2])
        if not self.authorized(name):
            return None
        if "rude" in faults:
            return self.error(403, "DENIED", "go\n\x1b[31maway\r\n")
        repository = self.server.repositories.get(words[-3])
        if repository is None:
            return self.error(404, "NAME_UNKNOWN", f"no repository {name}")
        if words[-2] == "manifests":
            return self.manifest(repository, words[-1])
        if words[-1] not in repository.blobs:
            return self.error(404, "BLOB_UNKNOWN", "no such blob")
        return self.redirected(words[-3], words[-1]) or self.blob(repository, words[-1])

    def authorized(self, name):
        """Or it has been told that it is not."""
        given, auth = self.headers["Authorization"], self.server.auth
        if not auth or auth == "basic" and given == BASIC:
            return True
        scope = f"repository:{name}:pull" if name else ""
        if auth == "bearer" and given and "token-loop" not in self.server.faults:
            with self.server.faults.lock:
                token = self.server.tokens.get(given)
                if token and (not scope or scope in token["scopes"]) and token["left"] != 0:
                    token["left"] -= 1
                    return True
        if auth == "basic":
            challenge = 'Basic realm="test"'
        else:
            realm = f"{'https' if self.server.tls else 'http'}://{self.headers['Host']}/token"
            if "token-http" in self.server.faults:
                realm = f"http://{self.server.elsewhere}/token"
            challenge = f'Bearer realm="{realm}",service="test"' + (f',scope="{scope}"' if scope else "")
        self.error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)
        return False

    def token(self):
        if self.headers["Authorization"] != BASIC:
            return self.error(401, "UNAUTHORIZED", "incorrect username or password")
        if "bad-token" in self.server.faults:
            return self.reply(200, b'{"token": ["junk', Content_Type="application/json")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        token = secrets.token_urlsafe(300)
        with self.server.faults.lock:
            self.server.tokens["Bearer " + token] = {
                "scopes": " ".join(query.get("scope", [])).split(),
                "left": self.server.faults.limits.get("token-expires", -1)}
        data = json.dumps({"token": token, "expires_in": 300}).encode()
        return self.reply(200, data, Content_Type="application/json")

    def manifest(self, repository, reference):
        faults = self.server.faults
        digest = repository.tagged if reference == "t" else reference
        if digest not in repository.manifests:
            return self.error(404, "MANIFEST_UNKNOWN", f"no manifest {reference}")
        media, data = repository.manifests[digest]
        more = {}
        if "endless-manifest" in faults:
            return self.without_end(data[:-1], media)
        if "wrong-manifest" in faults and reference != "t":
            other = [r for r in self.server.repositories.values() if r is not repository][0]
            media, data = other.manifests[other.tagged]
        if "huge-header" in faults:
            more["X_Huge"] = "a" * (1 << 20)
        return self.reply(200, data, Content_Type=media, Docker_Content_Digest=digest, **more)

    def redirected(self, name, digest):
        """True if that has been the answer."""
        faults, where = self.server.faults, None
        if "redirect-loop" in faults:
            where = f"{self.path.split('?')[0]}?{secrets.token_hex(4)}"
        elif "redirect" in faults:
            where = f"{'https' if self.server.tls else 'http'}://{self.server.elsewhere}/{name}/{digest}"
        elif "redirect-http" in faults:
            where = f"http://{self.server.elsewhere}/{name}/{digest}"
        if where:
            self.reply(307, Location=where)
        return where is not None

    def blob(self, repository, digest):
        faults, path = self.server.faults, repository.blobs[digest]
        layer = digest in repository.layers
        media, size = "application/octet-stream", os.path.getsize(path)
        with open(path, "rb") as f:
            if layer and "huge" in faults:
                return self.without_end(f.read(), media)
            if layer and "lying-size" in faults:
                return self.reply(200, f.read() + b"and more", Content_Type=media)
            if layer and "lying-size-small" in faults:
                return self.reply(200, f.read(size // 2), Content_Type=media)
            start, end = self.range(size)
            if start >= max(end, 1):
                return self.error(416, "RANGE_INVALID", "out of range", Content_Range=f"bytes */{size}")
            self.send_response(206 if end - start < size else 200)
            if end - start < size:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(end - start))
            self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if self.command == "HEAD":
                return None
            f.seek(start)
            return self.body(f, start, end, digest, layer)

    def range(self, size):
        """The first byte asked for, and that behind the last."""
        unit, _, what = (self.headers["Range"] or "").partition("=")
        first, _, last = what.partition("-")
        if unit != "bytes" or not first or "no-range" in self.server.faults:
            return 0, size
        return int(first), min(int(last) + 1, size) if last else size

    def body(self, f, start, end, digest, layer):
        faults, at, cut = self.server.faults, start, end
        flip = os.path.getsize(f.name) // 2 if layer and "wrong-digest" in faults else -1
        stall = layer and faults.hits("stall", digest)
        if stall or faults.hits("short", digest):
            cut = start + (end - start + 1) // 2
            self.close_connection = True
        piece = max((end - start) // 20, 1) if "slow" in faults else PIECE
        while at < cut:
            data = bytearray(f.read(min(piece, cut - at)))
            if at <= flip < at + len(data):
                data[flip - at] ^= 1
            self.wfile.write(data)
            at += len(data)
            if "slow" in faults:
                time.sleep(0.05)
        if stall:
            self.until_gone()


class Proxy(Handler):
    def do_CONNECT(self):
        self.close_connection = True
        far = socket.create_connection(("127.0.0.1", int(self.path.split(":")[-1])))
        self.send_response(200)
        self.end_headers()
        other = {self.connection: far, far: self.connection}
        while True:
            for end in select.select(other, [], [])[0]:
                data = end.recv(PIECE)
                if not data:
                    return far.close()
                other[end].sendall(data)

    def do_GET(self):
        self.error(405, "UNSUPPORTED", "CONNECT only")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
    auth = elsewhere = None

    def __init__(self, name, handler, log, tls=None):
        super().__init__(("127.0.0.1", 0), handler)
        self.name, self.tls, self.log_file, self.lock = name, tls, log, threading.Lock()
        self.tokens, self.port = {}, self.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # Not in the thread that accepts.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def log(self, text):
        with self.lock:
            self.log_file.write(text + "\n")
            self.log_file.flush()

    def handle_error(self, request, client_address):
        # A client that goes, or does not like the certificate.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(usage=__doc__ + "".join(f"\n    {k:17} {v}" for k, v in FAULTS.items()))
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--auth", choices=["basic", "bearer"])
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--elsewhere", default="localhost")
    parser.add_argument("--log", type=argparse.FileType("a"), default=sys.stderr)
    parser.add_argument("--proxy", action="store_true")
    parser.add_argument("layout", nargs="*")
    args = parser.parse_args()
    if args.proxy:
        server = Server("proxy", Proxy, args.log)
    else:
        server = Server("registry", Handler, args.log, args.tls)
        faults = Faults(args.fault)
        plain = "redirect-http" in faults or "token-http" in faults
        other = Server("elsewhere", Handler, args.log, None if plain else args.tls)
        server.elsewhere = f"{args.elsewhere}:{other.port}"
        server.auth = args.auth
        repositories = {os.path.basename(os.path.abspath(path)): Repository(path, faults) for path in args.layout}
        for s in server, other:
            s.faults, s.repositories = faults, repositories
        threading.Thread(target=other.serve_forever, daemon=True).start()
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

"""file_server.py --tls CERT KEY --log FILE DIR

A server of the files in DIR that does what none should; listens and logs as
registry.py does, as "files". What it does to a file is the first word of its path,
and the rest is the file:

    /fine/k.deb             it, with Range; so does any other word
    /short/k.deb            the connection ends after half of what was left (the first 2 times)
    /stall/k.deb            half of it, and then nothing
    /slow/k.deb             in two seconds, with Range
    /wrong/k.deb            a byte is not what it was
    /longer/k.deb           with more behind it
    /shorter/k.deb          complete with half of it
    /endless/k.deb          without a length, and without an end
    /redirect/k.deb         is at /fine/k.deb
    /loop/k.deb             is always somewhere else
    /downgrade/k.deb        is at http://
    /login/k.deb            401, with a challenge that names another server
"""
import argparse
import os
import time

from registry import Faults, Handler, PIECE, Server


class Files(Handler):
    def do_GET(self):
        how, _, name = self.path.strip("/").partition("/")
        where = {"redirect": f"/fine/{name}", "loop": f"/loop/{name}?{time.time_ns()}",
                 "downgrade": f"http://localhost:{self.server.port}/fine/{name}"}.get(how)
        path = os.path.join(self.server.directory, os.path.basename(name))
        if where:
            return self.reply(302, Location=where)
        if how == "login":
            return self.reply(401, WWW_Authenticate='Bearer realm="https://localhost:1/token",service="s"')
        if not os.path.exists(path):
            return self.reply(404)
        with open(path, "rb") as f:
            return self.answer(how, f.read())

    def answer(self, how, data):
        if how == "wrong":
            data = bytes([data[0] ^ 1]) + data[1:]
        elif how == "longer":
            data += b"and more"
        elif how == "shorter":
            data = data[:len(data) // 2]
        elif how == "endless":
            return self.without_end(data, "application/octet-stream")
        start, _ = self.range(len(data))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        return self.send(how, data[start:])

    def send(self, how, data):
        cut = how == "stall" or how == "short" and self.server.faults.hits("short", self.path)
        if cut:
            self.close_connection = True
            data = data[:(len(data) + 1) // 2]
        piece = max(len(data) // 20, 1) if how == "slow" else PIECE
        for at in range(0, len(data), piece):
            self.wfile.write(data[at:at + piece])
            if how == "slow":
                time.sleep(0.1)
        if how == "stall":
            self.until_gone()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--log", type=argparse.FileType("a"), required=True)
    parser.add_argument("directory")
    args = parser.parse_args()
    server = Server("files", Files, args.log, args.tls)
    server.directory, server.faults = args.directory, Faults(["short"])
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

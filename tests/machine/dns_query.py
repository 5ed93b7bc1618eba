#!/usr/bin/env python3
"""dns_query.py NAME TYPE | dns_query.py --hostile

Asks 127.0.0.1:42069 and prints the reply in one line: rcode, "aa" if it is
authoritative, and the addresses or names in it. --hostile sends what no
resolver would.
"""
import random
import socket
import struct
import sys

SERVER = ("127.0.0.1", 42069)
TYPES = {"A": 1, "NS": 2, "SOA": 6, "PTR": 12, "AAAA": 28}
RCODES = {0: "NOERROR", 1: "FORMERR", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


def encode(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def query(name, kind, ident=0x1234):
    head = struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0)
    return head + encode(name) + struct.pack(">2H", kind, 1)


def decode(packet, at):
    """The name at AT and the place after it."""
    labels, end = [], None
    for _ in range(128):
        n = packet[at]
        if n >= 0xC0:
            end = end or at + 2
            at = (n & 0x3F) << 8 | packet[at + 1]
        elif n == 0:
            return ".".join(labels) + ".", end or at + 1
        else:
            labels.append(packet[at + 1:at + 1 + n].decode())
            at += 1 + n
    raise ValueError("endless name")


def answers(packet):
    flags, questions, count = struct.unpack(">3H", packet[2:8])
    yield RCODES.get(flags & 15, str(flags & 15))
    if flags & 0x0400:
        yield "aa"
    at = 12
    for _ in range(questions):
        at = decode(packet, at)[1] + 4
    for _ in range(count):
        at = decode(packet, at)[1]
        kind, _, ttl, length = struct.unpack(">2HIH", packet[at:at + 10])
        at += 10
        yield (socket.inet_ntoa(packet[at:at + 4]) if kind == 1
               else decode(packet, at)[0])
        yield f"ttl={ttl}"
        at += length


def hostile(sock):
    good = query("web.vm", 1)
    rng = random.Random(1)
    sock.sendto(b"", SERVER)
    for cut in range(len(good)):
        sock.sendto(good[:cut], SERVER)
    sock.sendto(good + bytes(60000), SERVER)
    sock.sendto(good[:12] + b"\xc0\x0c" + good[-4:], SERVER)
    sock.sendto(b"\xff" * 512, SERVER)
    for _ in range(3000):
        packet = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            packet[rng.randrange(len(packet))] = rng.randrange(256)
        sock.sendto(packet, SERVER)


def main():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    if sys.argv[1] == "--hostile":
        hostile(sock)
        return
    sock.sendto(query(sys.argv[1], TYPES[sys.argv[2]]), SERVER)
    packet, sender = sock.recvfrom(4096)
    assert sender == SERVER and packet[:2] == b"\x12\x34"
    print(" ".join(answers(packet)))


main()

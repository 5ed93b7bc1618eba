"""image_tars.py DIR: makes the tars that image-import imports or refuses.

DIR/good/*: every kind of entry, and orders of entries that are hard to get
right. DIR/bad/NAME with DIR/bad/NAME.says, a regular expression for the error.
Nothing here depends on what the import does: see image_tree.py for what a tar
means.
"""
import bz2
import gzip
import io
import lzma
import os
import random
import struct
import subprocess
import sys
import tarfile

out = sys.argv[1]
good = os.path.join(out, "good")
bad = os.path.join(out, "bad")
os.makedirs(good)
os.makedirs(bad)
rng = random.Random(3)
END = bytes(1024)


def info(name, kind=tarfile.REGTYPE, **more):
    t = tarfile.TarInfo(name)
    t.type = kind
    t.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    t.mtime = 1600000000
    for key, value in more.items():
        setattr(t, key, value)
    return t


def entry(name, data=b"", kind=tarfile.REGTYPE, fmt=tarfile.GNU_FORMAT, pax=None, **more):
    """The bytes of one entry; PAX is a dict of raw records for an own header."""
    t = info(name, kind, **more)
    if kind == tarfile.REGTYPE:
        t.size = len(data)
    head = b""
    if pax:
        body = b""
        for key, value in pax.items():
            rest = b" " + key.encode() + b"=" + value + b"\n"
            size = len(rest) + len(str(len(rest)))
            size = len(rest) + len(str(size))
            body += str(size).encode() + rest
        x = info("pax", tarfile.XHDTYPE, size=len(body))
        head = x.tobuf(tarfile.USTAR_FORMAT) + pad(body)
    return head + t.tobuf(fmt, "utf-8", "surrogateescape") + pad(data)


def pad(data):
    return data + bytes(-len(data) % 512)


def write(where, name, *parts):
    with open(os.path.join(where, name), "wb") as f:
        for part in parts:
            f.write(part)


def link(name, target):
    return entry(name, kind=tarfile.LNKTYPE, linkname=target)


def sym(name, target, **more):
    return entry(name, kind=tarfile.SYMTYPE, linkname=target, **more)


def folder(name, **more):
    return entry(name, kind=tarfile.DIRTYPE, **more)


def kinds():
    yield folder("./", mode=0o1755, uid=5, gid=6, mtime=1500000001)
    yield folder("./d", mode=0o2775, uid=1000, gid=100, mtime=1)
    for size in (0, 1, 511, 4095, 4096, 4097, 65536, (1 << 20) + 1, (3 << 20) + 77):
        yield entry(f"./d/size-{size}", rng.randbytes(size), mode=0o4755)
    yield entry("./d/sgid", b"x", mode=0o2711)
    yield entry("./d/sticky", b"x", mode=0o1000)
    yield entry("/absolute/and/implied/file", b"data")
    yield entry("a//b/././c", b"slashes")
    yield entry("owner", b"", uid=4000000000, gid=4294967294)
    yield link("./d/link-1", "./d/size-4097")
    yield link("link-2", "d/link-1")
    yield link("/link-3", "/d/size-4097")
    for n in (1, 58, 59, 60, 61, 255, 1000, 4095):
        yield sym(f"sym-{n}", "t" * n, uid=7)
    yield link("sym-link", "sym-4095")
    yield sym("dangling", "/no/where")
    yield entry("fifo", kind=tarfile.FIFOTYPE, mode=0o600)
    yield link("fifo-2", "fifo")
    for major, minor in ((1, 3), (255, 255), (256, 0), (4095, 0), (8, 256), (10, 1048575)):
        yield entry(f"chr-{major}-{minor}", kind=tarfile.CHRTYPE, devmajor=major, devminor=minor)
        yield entry(f"blk-{major}-{minor}", kind=tarfile.BLKTYPE, devmajor=major, devminor=minor)
    yield link("chr-link", "chr-1-3")
    yield entry("n" * 255, b"long")
    yield entry("/".join(["p" * 200] * 15) + "/leaf", b"deep")
    yield entry("deep/" + "d/" * 1500 + "leaf", b"deeper")


def names():
    yield entry("caf\u00e9", b"utf-8, gnu")
    yield entry("pax", b"utf-8, pax", pax={"path": "p\u00e4x \u4e2d\u6587".encode()})
    yield entry("x", b"", kind=tarfile.SYMTYPE, linkname="x",
                pax={"path": "l\u00efnk".encode(), "linkpath": "p\u00e4x".encode()})
    yield entry("latin-\udce9", b"not utf-8, gnu")
    yield entry("b", b"not utf-8, pax", pax={"hdrcharset": b"BINARY", "path": b"bin-\xe9\xff"})
    yield entry("new\nline \\ tab\t", b"")
    yield entry(" ", b"")
    yield entry("...", b"")
    yield entry("..a", b"")
    yield folder(".hidden")
    for byte in range(1, 256):
        if byte != ord("/"):
            yield entry("odd-" + bytes([byte]).decode("utf-8", "surrogateescape"), b"")


def times():
    for i, t in enumerate((b"0.000000001", b"1234567890.123456789", b"-2", b"-2147483648",
                           b"2147483647.999999999", b"2147483648", b"4294967296.25",
                           b"15032385535.999999999")):
        yield entry(f"t{i}", b"", pax={"mtime": t})
        yield folder(f"d{i}", pax={"mtime": t, "atime": b"77.5"})
        yield entry(f"d{i}/later", b"", mtime=99)


CAP = struct.pack("<IIIII", 0x02000001, 0x3000, 0, 0, 0)


def xattrs():
    def x(name, data=b"x", **attrs):
        return entry(name, data, pax={"SCHILY.xattr." + k.replace("__", "."): v
                                      for k, v in attrs.items()})

    yield x("cap", security__capability=CAP)
    yield x("user", user__a=b"1", user__bb=b"22", user__ccc=bytes(range(256)), trusted__t=b"")
    yield x("block", user__big=rng.randbytes(3000), security__capability=CAP)
    yield x("full", user__v=rng.randbytes(3900))
    yield x("many", **{f"user__n{i:02}": bytes([i]) * i for i in range(60)})
    yield x("foreign", com__apple__quarantine=b"no", user__yes=b"1")
    yield entry("dir", kind=tarfile.DIRTYPE, pax={"SCHILY.xattr.user.d": b"dir",
                                                  "SCHILY.xattr.security.selinux": b"ctx\0"})
    # Again: the new attributes replace the old ones.
    yield entry("dir", kind=tarfile.DIRTYPE, pax={"SCHILY.xattr.user.e": b"E" * 200})
    yield entry("lnk", kind=tarfile.SYMTYPE, linkname="t",
                pax={"SCHILY.xattr.trusted.l": b"link", "SCHILY.xattr.security.x": b"y"})
    yield entry("lib", b"x", pax={"LIBARCHIVE.xattr.user.enc": b"aGVsbG8"})
    acl = b"user::rw-,user:1000:r--,group::r--,group:4000000:rwx,mask::rw-,other::---"
    yield entry("acl", b"x", mode=0o660, pax={"SCHILY.acl.access": acl})
    yield entry("acl-dir", kind=tarfile.DIRTYPE, mode=0o775, pax={
        "SCHILY.acl.access": b"user::rwx,user:7:-wx:7,group::r-x,mask::rwx,other::r-x",
        "SCHILY.acl.default": b"user::rwx,group::r-x,group:9:rwx:9,mask::rwx,other::---"})


def orders():
    yield entry("f", b"old", mode=0o600)
    yield entry("f", b"newer and longer", mode=0o640, mtime=5)
    yield entry("kept", b"the old content")
    yield link("kept-2", "kept")
    yield entry("kept", b"the new content")
    yield entry("file-dir", b"file")
    yield folder("file-dir", mode=0o700)
    yield entry("file-dir/in", b"in")
    yield folder("dir-file")
    for i in range(300):
        yield entry(f"dir-file/x{i}/y/{'z' * 100}", b"gone")
        yield link(f"dir-file/x{i}/link", f"dir-file/x{i}/y/{'z' * 100}")
    yield link("survivor", "dir-file/x299/link")
    yield entry("dir-file", b"now a file")
    yield entry("file-sym", b"file")
    yield sym("file-sym", "f")
    yield sym("sym-file", "f")
    yield entry("sym-file", b"file, not through the link")
    yield sym("sym-dir", "elsewhere")
    yield folder("sym-dir")
    yield entry("sym-dir/in", b"in")
    yield folder("sub")
    yield entry("sub/t", b"target below")
    yield link("sub", "sub/t")
    yield folder("again", mode=0o700, mtime=11)
    yield entry("again/in", b"stays")
    yield folder("again", mode=0o711, mtime=12)
    yield link("f", "f")
    yield entry("node", kind=tarfile.FIFOTYPE)
    yield entry("node", kind=tarfile.CHRTYPE, devmajor=1, devminor=5)
    yield folder("lost+found", mode=0o711)
    yield entry("lost+found/found", b"")


def links():
    yield folder("usr/lib")
    yield sym("lib", "usr/lib")
    yield entry("lib/one", b"through a link")
    yield folder("lib/sub", mode=0o750)
    yield sym("abs", "/usr/lib/sub")
    yield entry("abs/two", b"through an absolute link")
    yield sym("out", "../../../usr")
    yield entry("out/three", b"never outside")
    yield sym("dangle", "not/yet/there")
    yield entry("dangle/four", b"made through the link")
    yield sym("chain", "lib/../../lib/./sub")
    yield entry("chain/five", b"dots in the target")
    yield link("hard", "lib/one")
    yield link("abs/hard", "/out/three")
    yield sym("sbin", "usr/sbin")
    yield folder("usr/sbin")
    yield sym("usr/sbin/init", "../../up/opt/own-init")
    yield sym("up", "..")
    yield entry("opt/own-init", b"\x7fELF", mode=0o755)


def wide():
    for i in range(100000):
        yield entry(f"wide/{i}-{'n' * (i % 60)}", b"" if i % 10 else b"x")
    for i in range(3000):
        yield entry("long/" + f"{i:05}" * 51, b"")
    for i in range(0, 100000, 7):
        yield entry(f"wide/{i}-{'n' * (i % 60)}", b"replaced")


def nlink():
    for i in range(66000):
        yield folder(f"many/{i}")
    for i in range(66000):
        yield folder(f"fewer/{i}")
    for i in range(2000):
        yield entry(f"fewer/{i}", b"")
    yield entry("inode", b"")
    for i in range(1000):
        yield link(f"names/{i}", "inode")


def churn():
    """Everything is replaced again and again; space has to come back."""
    for i in range(40):
        for k in range(40):
            yield entry(f"churn/{k}", rng.randbytes(100000 + i * 1000 + k))
        yield entry(f"stays/{i}", rng.randbytes(5000))


for make in (kinds, names, times, xattrs, orders, links, wide, nlink, churn):
    write(good, make.__name__ + ".tar", *make(), END)

# GNU tar's own sparse formats, from real files with holes.
tree = os.path.join(out, "tree")
os.makedirs(os.path.join(tree, "d"))
for name, size, pieces in (
        ("hole-only", 10 << 20, []),
        ("start", 5 << 20, [(4 << 20, 100)]),
        ("end", 5 << 20, [(0, 100)]),
        ("odd", 3000001, [(123, 5), (70000, 1), (2999999, 2)]),
        ("pieces", 64 << 20, [(i * 16384, 4096) for i in range(4096)]),
        ("huge", 1 << 40, [(0, 10), (1 << 39, 4096), ((1 << 40) - 1, 1)])):
    with open(os.path.join(tree, "d", name), "wb") as f:
        f.truncate(size)
        for at, length in pieces:
            f.seek(at)
            f.write(rng.randbytes(length))
with open(os.path.join(tree, "caps"), "wb") as f:
    f.write(b"x")
os.setxattr(os.path.join(tree, "caps"), "security.capability", CAP)
os.setxattr(os.path.join(tree, "caps"), "system.posix_acl_access", struct.pack(
    "<IHHIHHIHHIHHIHHI", 2, 1, 6, 2**32 - 1, 2, 4, 12345, 4, 4, 2**32 - 1, 16, 4, 2**32 - 1,
    32, 0, 2**32 - 1))
for name, options in (("gnu", ["--format=gnu"]), ("sparse-0.0", ["--format=posix", "--sparse-version=0.0"]),
                      ("sparse-0.1", ["--format=posix", "--sparse-version=0.1"]),
                      ("sparse-1.0", ["--format=posix", "--sparse-version=1.0", "--xattrs",
                                      "--xattrs-include=*", "--acls", "--numeric-owner"])):
    subprocess.run(["tar", "-cf", os.path.join(good, f"gnutar-{name}.tar"), "-S", "-C", tree,
                    *options, "."], check=True)

# Each compression, in members and frames, with padding behind.
plain = b"".join(orders()) + END + bytes(9000)
half = len(plain) // 2
write(good, "gzip.tar.gz", gzip.compress(plain[:half]), gzip.compress(plain[half:]), bytes(1000))
write(good, "xz.tar.xz", lzma.compress(plain[:half]), lzma.compress(plain[half:]))


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c", "--check"], input=data, capture_output=True, check=True).stdout


write(good, "zstd.tar.zst", zstd(plain[:half]), zstd(plain[half:]))


def refuse(name, says, *parts):
    write(bad, name, *parts)
    write(bad, name + ".says", says.encode() + b"\n")


some = b"".join(kinds())
refuse("empty", "^the archive is empty$")
refuse("zeros", "holds no files", bytes(10240))
refuse("root-only", "holds no files", folder("./"), END)
refuse("garbage", "^not a tar archive$", rng.randbytes(50000))
refuse("text", "^not a tar archive$", b"hello\n" * 1000)
refuse("short", "^not a tar archive$", b"hello")
refuse("no-end", "cut off: it has no end mark", entry("a", b"x"))
refuse("no-end-data", "cut off: it has no end mark", entry("a", b"x" * 1024))
refuse("cut-header", "cut off", entry("a", b"x"), entry("b", b"")[:300])
refuse("cut-data", "cut off", entry("a", b"x" * 100000)[:50000])
refuse("cut-pad", "cut off", entry("a", b"x" * 513)[:1100])
for at in (len(some) // 3, len(some) // 2, len(some) - 700):
    refuse(f"cut-{at}", "cut off", some[:at])
refuse("damaged-header", "damaged", entry("a", b"x"), b"\xff" * 512, entry("b", b"x"), END)
refuse("dotdot", r'^archive entry \.\./x: "\.\." in its name', entry("../x", b""), END)
refuse("dotdot-middle", r'a/\.\./x: "\.\."', entry("a/../x", b""), END)
refuse("dotdot-end", r'\.\.', folder("a/.."), END)
refuse("link-nothing", "^archive entry l: a hard link to what is not in the archive before it$",
       link("l", "later"), entry("later", b""), END)
refuse("link-dotdot", "outside", entry("a", b""), link("l", "../a"), END)
refuse("link-root", "outside", link("l", "/"), END)
refuse("link-dir", "hard link to a directory", folder("d"), link("l", "d"), END)
refuse("link-below-file", "hard link to what is not", entry("f", b""), link("l", "f/x"), END)
refuse("link-itself", "hard link to what is not in the archive before it", link("l", "l"), END)
refuse("below-file", "^archive entry f/x: something on its path is not a directory",
       entry("f", b""), entry("f/x", b""), END)
refuse("below-link-to-file", "not a directory", entry("f", b""), sym("s", "f"), entry("s/x", b""), END)
refuse("loop", "too many symbolic links", sym("a", "b"), sym("b", "a"), entry("a/x", b""), END)
refuse("root-file", "root is no directory", entry("./", b"x", kind=tarfile.SYMTYPE, linkname="x"), END)
refuse("lost-found", "ext4 needs this", entry("lost+found", b"x"), END)
refuse("lost-found-link", "ext4 needs this", entry("f", b"x"), link("lost+found", "f"), END)
refuse("name-256", "too long", entry("n" * 256, b""), END)
refuse("path-long", "too long", entry("d/" * 2100 + "x", b""), END)
refuse("target-long", "too long", sym("s", "t" * 4096), END)
refuse("xattr-large", "extended attributes need more", entry("a", b"", pax={"SCHILY.xattr.user.x": b"v" * 5000}), END)
refuse("xattr-sum", "extended attributes need more", entry("a", b"", pax={
    "SCHILY.xattr.user.x": b"v" * 3000, "SCHILY.xattr.user.y": b"v" * 3000}), END)
refuse("xattr-many", "extended attributes need more", entry("a", b"", pax={
    f"SCHILY.xattr.user.{i}": b"" for i in range(5000)}), END)
refuse("acl-name", "numeric-owner", entry("a", b"", pax={
    "SCHILY.acl.access": b"user::rw-,user:daemon:r--,group::r--,mask::r--,other::---"}), END)
refuse("owner", "beyond 32 bits", entry("a", b"", pax={"uid": b"4294967296"}), END)
refuse("pax-not-utf8", "not UTF-8", entry("a", b"", pax={"path": b"bad-\xe9\xff"}), END)
refuse("device", "device number", entry("a", kind=tarfile.CHRTYPE, fmt=tarfile.GNU_FORMAT,
                                        devmajor=4096, devminor=0), END)
refuse("bzip2", "compressed with bzip2", bz2.compress(plain))
packed = gzip.compress(plain)
refuse("gzip-cut", r"cut off \(gzip\)", packed[:-100])
refuse("gzip-cut-crc", r"cut off \(gzip\)", packed[:-5])
refuse("gzip-crc", r"damaged \(gzip\)", packed[:-8], b"\0\0\0\0", packed[-4:])
refuse("gzip-flip", r"(damaged|cut off|not a tar)", packed[:500], b"\xff\xff\xff", packed[503:])
packed = lzma.compress(plain)
refuse("xz-cut", r"cut off \(xz\)", packed[:-100])
refuse("xz-flip", r"damaged \(xz\)", packed[:500], b"\xff\xff\xff", packed[503:])
packed = zstd(plain)
refuse("zstd-cut", r"cut off \(zstd\)", packed[:-100])
refuse("zstd-check", r"damaged \(zstd\)", packed[:-2], bytes([packed[-2] ^ 1]), packed[-1:])
refuse("zstd-garbage", r"damaged \(zstd\)", packed, b"garbage")
# An old GNU sparse map whose second piece lies before its first.
sparse = bytearray(info("s", b"S", size=1024).tobuf(tarfile.GNU_FORMAT))
sparse[386:386 + 96] = b"".join(b"%011o\0%011o\0" % pair for pair in ((8192, 512), (0, 512), (0, 0), (0, 0)))
sparse[483:495] = b"%011o\0" % 16384
sparse[148:156] = b"        "
sparse[148:156] = b"%06o\0 " % sum(sparse)
refuse("sparse-order", "out of order", bytes(sparse), bytes(1024), END)


# Sizes that lie: more than there is, more than there can be, less than nothing.
def claims(size):
    return info("a", size=size).tobuf(tarfile.GNU_FORMAT)


refuse("size-1t", "cut off", entry("b", b"x"), claims(1 << 40), bytes(5000), END)
refuse("size-8e", "damaged", entry("b", b"x"), claims((1 << 63) - 1), bytes(5000), END)
refuse("size-negative", "damaged", entry("b", b"x"), claims(-1), bytes(5000), END)


# Holes that are larger than any file, or more than anybody can remember.
def sparse_1_0(real, lines):
    data = b"".join(b"%d\n" % n for n in lines)
    return entry("b", b"x") + entry("s", data + bytes(-len(data) % 512), pax={
        "GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.name": b"s", "GNU.sparse.realsize": b"%d" % real})


refuse("sparse-8e", "larger than ext4 has files", sparse_1_0((1 << 63) - 1, [0]), END)
refuse("sparse-8e-piece", "larger than ext4 has files", sparse_1_0(1 << 62, [1, (1 << 62) - 512, 512]), END)
refuse("sparse-many", "damaged", sparse_1_0(1 << 30, [99999999]), END)
refuse("sparse-negative", "damaged", sparse_1_0(1 << 30, [2, -512, 512, -5, 512]), END)


# Headers without end: in one that is large, and in many that are small.
def header(kind, data):
    return info("x", kind, size=len(data)).tobuf(tarfile.USTAR_FORMAT) + pad(data)


refuse("pax-large", "damaged", entry("b", b"x"), header(tarfile.XHDTYPE, b"3000011 a=" + b"x" * 3000000 + b"\n"), entry("a", b""), END)
refuse("name-large", "damaged", entry("b", b"x"), header(tarfile.GNUTYPE_LONGNAME, b"n" * 3000000), entry("a", b""), END)
for name, kind, data in (("names", tarfile.GNUTYPE_LONGNAME, b"name\0"), ("pax", tarfile.XHDTYPE, b"6 a=b\n"),
                         ("global", tarfile.XGLTYPE, b"6 a=b\n")):
    refuse(f"endless-{name}", "unknown type|without a name", entry("b", b"x"), header(kind, data) * 300000, END)

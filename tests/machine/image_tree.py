"""image_tree.py TAR DIR: DIR, a mounted image, holds exactly what TAR says.

The tar is read by Python's tarfile, entry after entry, into a model of its
own; compared are type, mode, owner, size, SHA-256, mtime with nanoseconds,
link groups, link targets, device numbers, extended attributes and ACLs.
"""
import base64
import hashlib
import os
import stat
import struct
import sys
import tarfile

KEPT = ("user.", "trusted.", "security.", "system.posix_acl_")
TYPES = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK, tarfile.CHRTYPE: stat.S_IFCHR,
         tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO}
NS = 1000000000


def raw(text):
    return text.encode("utf-8", "surrogateescape")


class Node:
    def __init__(self, mode):
        self.mode = mode
        self.uid = self.gid = self.rdev = self.size = 0
        self.mtime = None
        self.digest = self.target = None
        self.xattrs = {}
        self.children = {} if stat.S_ISDIR(mode) else None


def acl(text):
    """SCHILY's text to Linux's extended attribute; also the mask."""
    tags = {"user": (1, 2), "group": (4, 8), "mask": (16, 16), "other": (32, 32)}
    entries = []
    for part in text.replace("\n", ",").strip(",").split(","):
        kind, who, perm, *number = part.split(":")
        bits = sum(bit for bit, c in ((4, "r"), (2, "w"), (1, "x")) if c in perm)
        ident = int(number[0] if number else who) if who else 2**32 - 1
        entries.append((tags[kind][bool(who)], ident, bits))
    entries.sort()
    mask = [bits for tag, _, bits in entries if tag == 16]
    return (struct.pack("<I", 2) + b"".join(struct.pack("<HHI", t, b, i) for t, i, b in entries),
            mask[0] if mask else None)


def nanoseconds(text):
    sign = -1 if text.startswith("-") else 1
    whole, _, part = text.lstrip("-").partition(".")
    return sign * (int(whole) * NS + int((part + "0" * 9)[:9]))


def attributes(node, t):
    node.mode = (node.mode & ~0o7777) | (t.mode & 0o7777)
    node.uid, node.gid = t.uid, t.gid
    node.mtime = nanoseconds(t.pax_headers.get("mtime", str(int(t.mtime))))
    node.xattrs = {}
    for key, value in t.pax_headers.items():
        for prefix in ("SCHILY.xattr.", "LIBARCHIVE.xattr."):
            name = key[len(prefix):]
            if key.startswith(prefix) and name.startswith(KEPT):
                data = raw(value)
                if prefix[0] == "L":
                    data = base64.b64decode(data + b"=" * (-len(data) % 4))
                node.xattrs.setdefault(name, data)
    for kind in ("access", "default"):
        text = t.pax_headers.get("SCHILY.acl." + kind)
        if text:
            node.xattrs["system.posix_acl_" + kind], mask = acl(text)
            if kind == "access" and mask is not None:
                node.mode = (node.mode & ~0o070) | mask << 3


def digest(tar, t):
    h = hashlib.sha256()
    f = tar.extractfile(t)
    if t.size > 1 << 32:
        return None
    while piece := f.read(1 << 20):
        h.update(piece)
    return h.hexdigest()


class Model:
    def __init__(self):
        self.root = Node(stat.S_IFDIR | 0o755)
        self.root.children[b"lost+found"] = Node(stat.S_IFDIR | 0o700)

    def walk(self, path, create, follow):
        """(node, stack of its directories); links stay inside."""
        parts = path.split(b"/")
        stack = [self.root]
        while parts:
            part = parts.pop(0)
            if part in (b"", b"."):
                continue
            if part == b"..":
                stack = stack[:-1] or [self.root]
                continue
            here = stack[-1].children
            if part not in here and create:
                here[part] = Node(stat.S_IFDIR | 0o755)
            node = here[part]
            if stat.S_ISLNK(node.mode) and (parts or follow):
                if node.target.startswith(b"/"):
                    stack = [self.root]
                parts = node.target.split(b"/") + parts
            elif node.children is not None:
                stack.append(node)
            else:
                return node
        return stack[-1]

    def add(self, tar, t):
        parts = [p for p in raw(t.name).split(b"/") if p not in (b"", b".")]
        if not parts:
            attributes(self.root, t)
            return
        parent = self.walk(b"/".join(parts[:-1]), True, True)
        name = parts[-1]
        if t.islnk():
            parent.children[name] = self.walk(raw(t.linkname), False, False)
            return
        old = parent.children.get(name)
        if t.isdir() and old is not None and old.children is not None:
            attributes(old, t)
            return
        node = Node(TYPES.get(t.type, stat.S_IFREG))
        attributes(node, t)
        if t.issym():
            node.target = raw(t.linkname)
        elif t.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            node.rdev = os.makedev(t.devmajor, t.devminor)
        elif t.isreg():
            node.size, node.digest = t.size, digest(tar, t)
        parent.children[name] = node


def flatten(node, path, out):
    out[path] = node
    for name, child in (node.children or {}).items():
        flatten(child, path + b"/" + name, out)


def file_digest(path, size):
    if size > 1 << 32:
        return None
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def difference(path, shown, node):
    st = os.lstat(path)
    want = {"mode": oct(node.mode), "uid": node.uid, "gid": node.gid}
    have = {"mode": oct(st.st_mode), "uid": st.st_uid, "gid": st.st_gid}
    if node.mtime is not None:
        want["mtime"], have["mtime"] = node.mtime, st.st_mtime_ns
    if stat.S_ISLNK(node.mode):
        want["mode"] = have["mode"] = "link"
        want["target"], have["target"] = node.target, os.readlink(path)
    if stat.S_ISREG(node.mode) and stat.S_ISREG(st.st_mode):
        want["size"], have["size"] = node.size, st.st_size
        want["digest"], have["digest"] = node.digest, file_digest(path, st.st_size)
    want["rdev"], have["rdev"] = node.rdev, st.st_rdev
    if not stat.S_ISDIR(node.mode):
        want["links"], have["links"] = node.links, st.st_nlink
    want["xattrs"] = node.xattrs
    have["xattrs"] = {x: os.getxattr(path, x, follow_symlinks=False)
                      for x in os.listxattr(path, follow_symlinks=False)}
    return [f"{shown!r}: {key} {have[key]!r}, not {want[key]!r}" for key in want if want[key] != have[key]]


def main(tar_path, top):
    sys.setrecursionlimit(20000)
    model = Model()
    with tarfile.open(tar_path, "r:*" if not tar_path.endswith(".zst") else "r:",
                      encoding="utf-8", errors="surrogateescape") as tar:
        for t in tar:
            model.add(tar, t)
    want = {}
    flatten(model.root, b"", want)
    names = {}
    for path, node in want.items():
        names.setdefault(id(node), []).append(path)
    bad, seen, inodes = [], set(), {}
    for node in want.values():
        node.links = len(names[id(node)])
    # By fd: some paths are longer than a system call takes.
    os.chdir(top)
    todo = [b""]
    while todo:
        directory = todo.pop()
        for name in os.listdir(directory.lstrip(b"/") or b"."):
            path = directory + b"/" + name
            seen.add(path)
            if path not in want:
                bad.append(f"{path!r}: not in the tar")
                continue
            st = os.lstat(path.lstrip(b"/"))
            inodes.setdefault(st.st_ino, set()).add(id(want[path]))
            bad += difference(path.lstrip(b"/"), path, want[path])
            if stat.S_ISDIR(st.st_mode):
                todo.append(path)
    bad += difference(b".", b"/", model.root)
    bad += [f"{path!r}: not in the image" for path in want if path not in seen and path]
    bad += [f"inode {ino} stands for several files" for ino, nodes in inodes.items() if len(nodes) > 1]
    print("\n".join(bad[:20]))
    print(f"{len(want)} compared, {len(bad)} differences")
    return 1 if bad or len(want) < 2 else 0


sys.exit(main(*sys.argv[1:]))

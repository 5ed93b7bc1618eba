"""oci_images.py DIR [SEED COUNT]: OCI image layouts, DIR/NAME, each tagged "t".

Made by hand are the cases that the image-spec's layer.md names, one layout
each; the others at random, of layers that add, replace, link and hide.
"""
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = {"User": "1000:1000", "WorkingDir": "/srv", "Env": ["PATH=/bin", "A=b c", "EMPTY="],
          "Entrypoint": ["/bin/entry", "--flag"], "Cmd": ["one", "two three"],
          "Labels": {"x": "y"}, "ExposedPorts": {"80/tcp": {}}}


class Layer:
    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644, uid=0, gid=0, mtime=1700000000,
            pax=None, dev=(0, 0)):
        t = tarfile.TarInfo(name)
        t.type, t.linkname, t.mode, t.uid, t.gid, t.mtime = kind, link, mode, uid, gid, mtime
        t.devmajor, t.devminor = dev
        t.pax_headers = pax or {}
        t.size = len(data) if kind == tarfile.REGTYPE else 0
        self.tar.addfile(t, io.BytesIO(data))
        return self

    def dir(self, name, mode=0o755, **more):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **more)

    def link(self, name, target):
        return self.add(name, tarfile.LNKTYPE, link=target)

    def symlink(self, name, target):
        return self.add(name, tarfile.SYMTYPE, link=target, mode=0o777)

    def hide(self, name):
        where, base = os.path.split(name)
        return self.add(os.path.join(where, ".wh." + base))

    def opaque(self, name):
        return self.add(os.path.join(name, ".wh..wh..opq"))

    def done(self):
        self.tar.close()
        return self.bytes.getvalue()


def empty_files(dirs, each=1000):
    """The pieces of a tar of that many directories with that many files; quickly."""
    # Digits and what they lack to 9: every name adds the same to the check sums.
    names = [f"{i:07}{9999999 - i:07}" for i in range(dirs)]
    first = b"".join(tarfile.TarInfo(f"{names[0]}/{i}").tobuf(tarfile.USTAR_FORMAT) for i in range(each))
    for name in names:
        yield first.replace(names[0].encode(), name.encode())
    yield bytes(1024)


def layout(path, layers, compress="gzip", config=None, platform=True):
    os.makedirs(f"{path}/blobs/sha256")

    def blob(data, media, **more):
        digest = hashlib.sha256(data).hexdigest()
        with open(f"{path}/blobs/sha256/{digest}", "wb") as f:
            f.write(data)
        return {"mediaType": media, "digest": "sha256:" + digest, "size": len(data), **more}

    blobs, diff_ids = [], []
    for layer in layers:
        tar = layer if isinstance(layer, bytes) else layer.done()
        diff_ids.append("sha256:" + hashlib.sha256(tar).hexdigest())
        if compress == "gzip":
            blobs.append(blob(gzip.compress(tar, 1, mtime=0), LAYER + "+gzip"))
        elif compress == "zstd":
            packed = subprocess.run(["zstd", "-q", "-1"], input=tar, stdout=subprocess.PIPE, check=True).stdout
            blobs.append(blob(packed, LAYER + "+zstd"))
        else:
            blobs.append(blob(tar, LAYER))
    config = {"architecture": "amd64", "os": "linux", "config": CONFIG if config is None else config,
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
                "layers": blobs}
    entry = blob(json.dumps(manifest).encode(), manifest["mediaType"],
                 annotations={"org.opencontainers.image.ref.name": "t"})
    if platform:
        entry["platform"] = {"architecture": "amd64", "os": "linux"}
    with open(f"{path}/index.json", "w") as f:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, f)
    with open(f"{path}/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')


def base():
    layer = Layer().dir("./").dir("etc").dir("bin").dir("usr").dir("usr/lib").symlink("lib", "usr/lib")
    layer.add("etc/passwd", data=b"root:x:0:0::/root:/bin/sh\n").add("bin/sh", data=b"#!", mode=0o4755)
    layer.add("usr/lib/a.so", data=b"a" * 5000).link("usr/lib/b.so", "usr/lib/a.so")
    layer.dir("d").add("d/1", data=b"1").dir("d/sub").add("d/sub/2", data=b"2").dir("d/sub/deep")
    layer.add("d/sub/deep/3", data=b"3", uid=7, gid=8)
    return layer


def cases():
    """NAME: layers above base()."""
    cap = {"SCHILY.xattr.security.capability": "\x01\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "SCHILY.xattr.user.x": "y"}
    return {
        "file-hidden": [Layer().hide("etc/passwd")],
        "dir-hidden": [Layer().hide("d")],
        "hidden-and-back": [Layer().hide("d"), Layer().dir("d").add("d/new", data=b"n")],
        "hidden-in-its-layer": [Layer().add("etc/new", data=b"n").hide("etc/new").hide("etc/passwd")],
        "dir-of-layer-hidden": [Layer().dir("d").add("d/mine", data=b"m").hide("d")],
        "opaque-first": [Layer().dir("d").opaque("d").add("d/new", data=b"n")],
        "opaque-last": [Layer().dir("d").add("d/new", data=b"n").dir("d/sub").add("d/sub/mine").opaque("d")],
        "opaque-without-dir": [Layer().add("d/sub/mine", data=b"m").opaque("d")],
        "opaque-root": [Layer().dir("only").add("only/this").opaque("")],
        "through-link": [Layer().add("lib/c.so", data=b"c").hide("lib/a.so")],
        "hard-link-across": [Layer().link("etc/passwd.old", "etc/passwd")],
        "hard-link-and-hidden": [Layer().link("etc/passwd.old", "etc/passwd").hide("etc/passwd")],
        "hard-link-opaque": [Layer().link("d/one", "d/1").opaque("d")],
        "link-replaced": [Layer().add("usr/lib/a.so", data=b"new")],
        "dir-to-file": [Layer().add("d", data=b"file")],
        "file-to-dir": [Layer().dir("d/1").add("d/1/x")],
        "link-to-dir": [Layer().dir("lib").add("lib/own", data=b"o")],
        "dir-to-link": [Layer().symlink("d", "etc")],
        "modes": [Layer().dir("d", mode=0o1777, uid=3, gid=4).add("bin/sh", data=b"#!", mode=0o755, uid=100000)],
        "devices": [Layer().add("null", tarfile.CHRTYPE, mode=0o666, dev=(1, 3))
                    .add("disk", tarfile.BLKTYPE, dev=(259, 300)).add("fifo", tarfile.FIFOTYPE)],
        "xattrs": [Layer().add("bin/ping", data=b"p", mode=0o755, pax=cap)],
        "long-names": [Layer().dir("x" * 200).add("x" * 200 + "/" + "y" * 255, data=b"long")
                       .symlink("to", "z" * 1000)],
        "nothing-to-hide": [Layer().hide("none").hide("no/where").opaque("no/dir")],
        "lost-found-hidden": [Layer().hide("lost+found")],
        "link-outside": [Layer().symlink("out", "../../.."), Layer().add("out/etc/new", data=b"n").hide("out/etc/passwd")],
        "aufs": [Layer().add(".wh..wh.aufs").dir(".wh..wh.plnk").add(".wh..wh.plnk/1")],
        "empty-layer": [Layer(), Layer()],
        "many": [Layer().add(f"l{i}", data=str(i).encode()) for i in range(100)],
    }


def refused():
    """NAME: what is said of layers above base()."""
    name = "whiteout of nothing"
    return {
        "whiteout-of-no-name": (name, [Layer().hide("etc/")]),
        "whiteout-of-dot": (name, [Layer().add("etc/.wh..")]),
        "whiteout-of-parent": (name, [Layer().add("etc/.wh...")]),
        "whiteout-of-root": (name, [Layer().add(".wh..")]),
        "whiteout-of-roots-parent": (name, [Layer().add(".wh...")]),
        "whiteout-outside": ("[.][.]. in its name", [Layer().add("../.wh.etc")]),
        "hard-link-outside": ("hard link to outside", [Layer().link("etc/x", "../../etc/passwd")]),
        "layers-513": ("more than 512 layers", [Layer()] * 512),
    }


def deep():
    """Directories in each other, as many as a path and a link in front of it can name."""
    levels = "d/" * 2040
    return [Layer().dir(levels).symlink("s", levels).dir("s/" + levels).add("s/" + levels + "leaf", data=b"leaf")]


def at_random(rng):
    """Layers of few names, so that they meet."""
    names = ["a", "b", "c", "e"]
    layers = [base()]
    for _ in range(rng.randrange(1, 6)):
        layer, seen, files, dirs = Layer(), set(), [], set()

        def parents(path):
            """As layers have them; umoci needs them where there was no directory."""
            parts = path.split("/")[:-1]
            for i in range(len(parts)):
                up = "/".join(parts[:i + 1])
                if up not in dirs:
                    layer.dir(up)
                    dirs.add(up)

        for _ in range(rng.randrange(1, 9)):
            path = "/".join(rng.choice(names) for _ in range(rng.randrange(1, 4)))
            # One layer names a path once, and nothing below what is no directory.
            if path in seen or any(path.startswith(p + "/") for p in seen):
                continue
            what = rng.randrange(8)
            if what in (0, 1, 2, 3, 7):
                parents(path)
            if what in (0, 1) and path not in dirs and not any(p.startswith(path + "/") for p in seen):
                layer.add(path, data=path.encode() * rng.randrange(900), mode=rng.choice((0o644, 0o755, 0o4711)))
                files.append(path)
                seen.add(path)
            elif what == 2:
                layer.dir(path, uid=rng.randrange(3))
                dirs.add(path)
            elif what == 3 and files and path not in dirs and not any(p.startswith(path + "/") for p in seen):
                layer.link(path, rng.choice(files))
                seen.add(path)
            elif what in (4, 5):
                layer.hide(path)
            elif what == 6:
                layer.opaque(path)
            elif what == 7 and path not in dirs and not any(p.startswith(path + "/") for p in seen):
                layer.symlink(path, rng.choice(("nowhere", "x/y")))
                seen.add(path)
        layers.append(layer)
    return layers


def main():
    out = sys.argv[1]
    for name, layers in cases().items():
        layout(f"{out}/{name}", [base()] + layers)
    for name, (says, layers) in refused().items():
        layout(f"{out}.refused/{name}", [base()] + layers, "none")
        with open(f"{out}.refused/{name}.says", "w") as f:
            f.write(says)
    layout(f"{out}.deep/there", deep(), "none")
    layout(f"{out}.deep/hidden", deep() + [Layer().hide("d")], "none")
    layout(f"{out}/plain", [base(), Layer().hide("d/1")], "none", platform=False)
    layout(f"{out}/zstd", [base(), Layer().hide("d/1")], "zstd", config={})
    if len(sys.argv) > 2:
        rng = random.Random(int(sys.argv[2]))
        for i in range(int(sys.argv[3])):
            layout(f"{out}/random-{i}", at_random(rng), "none")


if __name__ == "__main__":
    main()

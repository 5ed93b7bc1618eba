"""tree_diff.py A B: what differs between two trees, a line each; 1 if any.

Type, mode, owner, size, SHA-256, link target, device number, extended
attributes and groups of hard links; lost+found at the top of B does not count.
"""
import hashlib
import os
import stat
import sys


def tree(top):
    found, groups = {}, {}
    for where, dirs, files in os.walk(top):
        for name in dirs + files + [""] * (where == top):
            path = os.path.join(where, name) if name else top
            st = os.lstat(path)
            key = os.path.relpath(path, top)
            what = [stat.filemode(st.st_mode), oct(st.st_mode), st.st_uid, st.st_gid]
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what += [st.st_size, hashlib.sha256(f.read()).hexdigest()]
            elif stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
                what.append(st.st_rdev)
            what += [(x, os.getxattr(path, x, follow_symlinks=False))
                     for x in sorted(os.listxattr(path, follow_symlinks=False))]
            found[key] = what
            if not stat.S_ISDIR(st.st_mode):
                groups.setdefault(st.st_ino, []).append(key)
    for group in groups.values():
        for key in group:
            found[key].append(sorted(group))
    return found


a, b = tree(sys.argv[1]), tree(sys.argv[2])
if "lost+found" not in a:
    b.pop("lost+found", None)
bad = [f"{key}: {a.get(key)} is not {b.get(key)}" for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
print("\n".join(bad), end="\n" * bool(bad))
sys.exit(bool(bad))

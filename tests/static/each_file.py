"""each_file.py analyzer|clang-tidy: asks gcc -fanalyzer, or clang-tidy with the
checks of .clang-tidy, about every C file of ours, as the sanitizer build compiles it
less the sanitizers. What passed is known by a digest of all that the verdict
depends on, and is not asked again: in $cache/static, outside the work tree."""
import concurrent.futures, hashlib, json, os, shlex, subprocess, sys

def compiler_args(entry):
    """ENTRY's command without output and sanitizers."""
    drop = ("-fsanitize", "-fno-omit-frame-pointer", "-M", "-o", "-c")
    args, skip = [], False
    for arg in shlex.split(entry["command"]):
        if skip:
            skip = False
        elif arg in ("-o", "-MF", "-MQ"):
            skip = True
        elif not arg.startswith(drop):
            args.append(arg)
    return args[args[0].endswith("ccache"):]

def output(*args, cwd=None):
    return subprocess.run(args, cwd=cwd, check=True, stdout=subprocess.PIPE).stdout

def analyzer(entry):
    return compiler_args(entry) + ["-fanalyzer", "-Werror", "-O1", "-c", "-o", os.devnull]

def clang_tidy(entry):
    # One file each: in the second of a run clang 14 sees no va_start any more.
    return ["clang-tidy", "--quiet", "--warnings-as-errors=*", "-p", ".", entry["file"]]

def verdict(entry):
    """(whether it passed, was known, what was said)"""
    args = command(entry)
    # With comments: NOLINT is one. Without where the tree lies: clones share this.
    text = output(*compiler_args(entry), "-E", "-C", "-fno-working-directory", cwd=entry["directory"])
    key = hashlib.sha256(b"\0".join((common, shlex.join(args).encode(), text))).hexdigest()
    if os.path.exists(f"{passed}/{key}"):
        return True, True, ""
    run = subprocess.run(args, cwd=entry["directory"], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    if run.returncode == 0:
        open(f"{passed}/{key}", "w").close()
    return run.returncode == 0, False, run.stdout

def ours(entry):
    path = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
    return path.startswith(("src/", "privsep/"))

tool, cache = sys.argv[1:]
command = {"analyzer": analyzer, "clang-tidy": clang_tidy}[tool]
passed = cache + "/static"
os.makedirs(passed, exist_ok=True)
with open("build-san/compile_commands.json") as f, open(".clang-tidy", "rb") as checks:
    entries = [entry for entry in json.load(f) if ours(entry)]
    common = output("gcc", "--version") + output("clang-tidy", "--version") + checks.read()
known = failed = 0
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for good, was_known, said in pool.map(verdict, entries):
        known += was_known
        failed += not good
        if not good:
            print(said)
print(f"{len(entries)} files, {known} of them as they passed before, {failed} with findings")
sys.exit(bool(failed) or not entries)

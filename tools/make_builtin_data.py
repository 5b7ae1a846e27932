#!/usr/bin/env python3
"""Writes src/data/builtin/iris.inc and digits.inc from the copies that scikit-learn ships.

    python3 tools/make_builtin_data.py [FOLDER]

FOLDER holds iris.csv and digits.csv.gz; by default it is where Debian's python3-sklearn 1.2.1+dfsg-1
puts them. The script refuses files with other contents: what it writes is what PROVENANCE.md says.
"""

import gzip
import hashlib
import sys
from pathlib import Path

DEFAULT = "/usr/lib/python3/dist-packages/sklearn/datasets/data"
OUT = Path(__file__).resolve().parent.parent / "src" / "data" / "builtin"
SHA256 = {
    "iris.csv": "f13ffa8fdd56fd8e6c8d16d4081a3fbd3114bcd0aae4256c43205169cd9d1449",
    "digits.csv.gz": "46abec6b12486ad9e51943373abcf22bbea1b5a51a1619b361570d8893f1464a",
}
HEAD = "// Made by tools/make_builtin_data.py; origin and licence in PROVENANCE.md. Do not edit.\n"


def read(folder, name):
    data = (Path(folder) / name).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256[name]:
        sys.exit(f"{folder}/{name}: expected sha256 {SHA256[name]}, got {digest}")
    return gzip.decompress(data).decode() if name.endswith(".gz") else data.decode()


def iris(folder):
    """Tenths of a centimetre, exact, and the species' number."""
    rows = [line.split(",") for line in read(folder, "iris.csv").split()[1:]]
    lines = []
    for *measures, species in rows:
        tenths = [round(float(m) * 10) for m in measures]
        assert [t / 10 for t in tenths] == [float(m) for m in measures]
        lines.append("{" + ", ".join(str(t) for t in tenths) + ", " + species + "},")
    return lines


def digits(folder):
    """A letter a pixel, A for 0 to Q for 16, and the digit."""
    rows = [line.split(",") for line in read(folder, "digits.csv.gz").split()]
    return ['"' + "".join(chr(ord("A") + int(float(p))) for p in pixels) + str(int(float(digit))) +
            '",' for *pixels, digit in rows]


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else DEFAULT
    (OUT / "iris.inc").write_text(HEAD + "\n".join(iris(folder)) + "\n")
    (OUT / "digits.inc").write_text(HEAD + "\n".join(digits(folder)) + "\n")


if __name__ == "__main__":
    main()

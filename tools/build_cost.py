#!/usr/bin/env python3
"""Prints what a build spends its time on: the costliest files, and the costliest headers.

    tools/build_cost.py [--build FOLDER] [--most N] [--headers]

A file's cost is what its compilation took in the last build of FOLDER (build/release), from Ninja's log:
seconds on a clock, so build on an idle machine. A header's cost, with --headers, is the processor time of
a file that includes nothing else, times the number of files that name it; a header that another brings
along is counted with both, so the sum is more than the whole.
"""

import argparse
import json
import re
import resource
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"][^>"]+[>"])', re.MULTILINE)


def file_costs(build):
    """[(seconds, source)] of the objects in the log, the costliest first; the last entry of each counts."""
    log = build / ".ninja_log"
    if not log.exists():
        sys.exit(f"{log}: not there; build first, as in cmake --build --preset release")
    seconds = {}
    for line in log.read_text().splitlines()[1:]:
        begin, end, _, output, *_ = line.split("\t")
        if output.endswith((".o", ".gch", ".pch")):
            name = re.sub(r"^CMakeFiles/([^/]+)\.dir/", r"", output).removesuffix(".o")
            target = re.match(r"CMakeFiles/([^/]+)\.dir/", output)
            seconds[f"{name} ({target[1]})" if target else name] = (int(end) - int(begin)) / 1000
    return sorted(((s, name) for name, s in seconds.items()), reverse=True)


def compile_flags(build):
    """The flags of one source of the library, without its name, its output and what it precompiles."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if entry["file"].endswith("src/graph/graph.cpp"):
            words = shlex.split(entry["command"])
            while not words[0].endswith(("++", "++-12", "++-14")):
                words = words[1:]
            flags, skip = [], False
            for word in words:
                if skip:
                    skip = False
                elif word in ("-o", "-c", "-MF", "-MT", "-include"):
                    skip = True
                elif word not in ("-MD", "-Winvalid-pch"):
                    flags.append(word)
            return flags
    sys.exit(f"{build}/compile_commands.json: src/graph/graph.cpp is not there")


def processor_seconds(flags, header):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "header.cpp"
        source.write_text(f"#include {header}\n" if header else "")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*flags, "-fsyntax-only", str(source)], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        return None
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def header_costs(build):
    """[(seconds, files, header)], the costliest first."""
    sources = [p for folder in ("src", "include", "tests", "bench", "examples")
               for p in (ROOT / folder).rglob("*") if p.suffix in (".cpp", ".h")]
    files = Counter()
    for path in sources:
        files.update(set(INCLUDE.findall(path.read_text())))
    flags = compile_flags(build)
    nothing = processor_seconds(flags, "")
    rows = []
    for header, count in files.items():
        seconds = processor_seconds(flags, header)
        if seconds is not None:
            rows.append(((seconds - nothing) * count, count, header))
    return sorted(rows, reverse=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--most", type=int, default=25, help="rows of each table")
    parser.add_argument("--headers", action="store_true", help="the headers too (a minute)")
    options = parser.parse_args()
    costs = file_costs(options.build)
    print(f"{sum(s for s, _ in costs):8.1f} s  all {len(costs)} files")
    for seconds, name in costs[:options.most]:
        print(f"{seconds:8.1f} s  {name}")
    if options.headers:
        print()
        for seconds, count, header in header_costs(options.build)[:options.most]:
            print(f"{seconds:8.1f} s  {header} in {count} files, {seconds / count:.2f} s each")


if __name__ == "__main__":
    main()

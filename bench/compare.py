#!/usr/bin/env python3
"""Runs the same training step in chainrule, PyTorch, JAX and NumPy, and prints how they compare.

All start from the weights and the batches that chainrule-bench wrote, and their first losses must
agree. Every mode of a rival is tried for a short time; the fastest then take turns with chainrule, round
by round, so that whatever slows the machine down slows all of them. bench/README.md says how to read
the tables.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workloads import WORKLOADS

HERE = Path(__file__).resolve().parent
VERIFY_STEPS = 10
TOLERANCE = 1e-4

# Freed tensors are kept by the process instead of being given back to the system and faulted in anew.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31),
               "MALLOC_TOP_PAD_": str(1 << 27)}
# Long enough for the threads of the one that ran last to give up waiting and sleep.
REST_SECONDS = 0.1
BIND = {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}
# Waiting OpenMP threads sleep at once instead of spinning.
PASSIVE = {"OMP_WAIT_POLICY": "passive"}

# (rival, name of the mode, options of the worker, environment). Each is tried with every number of
# threads. "bound" keeps the worker on as many cores as it has threads.
MODES = [
    ("PyTorch", "eager, default", {"step": "class"}, {}),
    ("PyTorch", "eager, malloc", {"step": "class"}, KEEP_MEMORY),
    ("PyTorch", "eager, foreach, malloc", {"step": "class", "update": "foreach"}, KEEP_MEMORY),
    ("PyTorch", "eager, fused, malloc", {"step": "class", "update": "fused"}, KEEP_MEMORY),
    ("PyTorch", "eager, direct, malloc", {"step": "direct"}, KEEP_MEMORY),
    ("PyTorch", "eager, direct, malloc, (in, out)", {"step": "direct", "layout": "in_out"},
     KEEP_MEMORY),
    ("PyTorch", "eager, direct, malloc, bound", {"step": "direct", "bound": True},
     KEEP_MEMORY | BIND),
    ("PyTorch", "eager, direct, malloc, passive", {"step": "direct"}, KEEP_MEMORY | PASSIVE),
    ("PyTorch", "compiled loss, fused, malloc",
     {"step": "class", "update": "fused", "compile": "default"}, KEEP_MEMORY),
    ("PyTorch", "compiled loss, direct, malloc", {"step": "direct", "compile": "default"}, KEEP_MEMORY),
    ("PyTorch", "compiled gradient, direct, malloc",
     {"step": "gradient", "compile": "default"}, KEEP_MEMORY),
    ("PyTorch", "compiled gradient, C++ wrapper, direct, malloc",
     {"step": "gradient", "compile": "default", "cpp_wrapper": True}, KEEP_MEMORY),
    ("PyTorch", "compiled gradient, C++ wrapper, direct, malloc, (in, out)",
     {"step": "gradient", "compile": "default", "cpp_wrapper": True, "layout": "in_out"}, KEEP_MEMORY),
    ("PyTorch", "compiled step, malloc", {"step": "whole", "compile": "default"}, KEEP_MEMORY),
    ("PyTorch", "compiled step, C++ wrapper, malloc",
     {"step": "whole", "compile": "default", "cpp_wrapper": True}, KEEP_MEMORY),
    ("PyTorch", "compiled step, C++ wrapper, malloc, (in, out)",
     {"step": "whole", "compile": "default", "cpp_wrapper": True, "layout": "in_out"}, KEEP_MEMORY),
    ("PyTorch", "compiled step, C++ wrapper, malloc, bound",
     {"step": "whole", "compile": "default", "cpp_wrapper": True, "bound": True}, KEEP_MEMORY | BIND),
    ("PyTorch", "compiled step, C++ wrapper, malloc, passive",
     {"step": "whole", "compile": "default", "cpp_wrapper": True}, KEEP_MEMORY | PASSIVE),
    ("PyTorch", "compiled step, max-autotune, malloc",
     {"step": "whole", "compile": "max-autotune-no-cudagraphs"}, KEEP_MEMORY),
    # JAX takes as many threads as it has cores.
    ("JAX", "jit", {"bound": True}, {}),
    ("JAX", "jit, malloc", {"bound": True}, KEEP_MEMORY),
    ("JAX", "jit of a scan over 100 steps, malloc", {"bound": True, "scan": 100}, KEEP_MEMORY),
    ("NumPy", "default", {}, {}),
    ("NumPy", "malloc", {}, KEEP_MEMORY),
    ("NumPy", "malloc, bound", {"bound": True}, KEEP_MEMORY),
]

# Of recurrent networks. Compiling leaves nn.LSTM itself as it is.
SEQUENCE_MODES = [
    ("PyTorch", "nn.LSTM, default", {}, {}),
    ("PyTorch", "nn.LSTM, fused, malloc", {"update": "fused"}, KEEP_MEMORY),
    ("PyTorch", "nn.LSTM, foreach, malloc", {"update": "foreach"}, KEEP_MEMORY),
    ("PyTorch", "nn.LSTM, fused, malloc, time first", {"update": "fused", "layout": "time_first"},
     KEEP_MEMORY),
    ("PyTorch", "nn.LSTM, fused, malloc, bound", {"update": "fused", "bound": True},
     KEEP_MEMORY | BIND),
    ("PyTorch", "nn.LSTM, compiled loss, fused, malloc", {"update": "fused", "compile": "default"},
     KEEP_MEMORY),
]

GPT_MODES = [
    ("PyTorch", "GPT, default", {}, {}),
    ("PyTorch", "GPT, fused, malloc", {"update": "fused"}, KEEP_MEMORY),
    ("PyTorch", "GPT, fused, malloc, bound", {"update": "fused", "bound": True}, KEEP_MEMORY | BIND),
    ("PyTorch", "GPT, compiled loss, fused, malloc", {"update": "fused", "compile": "default"},
     KEEP_MEMORY),
    ("PyTorch", "GPT, compiled loss, fused, malloc, bound",
     {"update": "fused", "compile": "default", "bound": True}, KEEP_MEMORY | BIND),
]

# Of convolutional networks.
IMAGE_MODES = [
    ("PyTorch", "modules, default", {}, {}),
    ("PyTorch", "modules, fused, malloc", {"update": "fused"}, KEEP_MEMORY),
    ("PyTorch", "modules, channels last, fused, malloc",
     {"update": "fused", "layout": "channels_last"}, KEEP_MEMORY),
    ("PyTorch", "modules, channels last, fused, malloc, bound",
     {"update": "fused", "layout": "channels_last", "bound": True}, KEEP_MEMORY | BIND),
    ("PyTorch", "compiled loss, fused, malloc", {"update": "fused", "compile": "default"}, KEEP_MEMORY),
    ("PyTorch", "compiled loss, channels last, fused, malloc",
     {"update": "fused", "layout": "channels_last", "compile": "default"}, KEEP_MEMORY),
]


def modes_of(workload):
    by_model = {"char-lstm": SEQUENCE_MODES, "gpt": GPT_MODES, "lenet": IMAGE_MODES,
                "resnet20": IMAGE_MODES}
    return by_model.get(WORKLOADS[workload]["model"], MODES)


# With --quick only these are tried: the best ones where this was last measured.
QUICK = {"eager, direct, malloc", "compiled gradient, C++ wrapper, direct, malloc",
         "compiled step, C++ wrapper, malloc", "jit, malloc", "malloc",
         "modules, channels last, fused, malloc", "compiled loss, channels last, fused, malloc",
         "nn.LSTM, fused, malloc", "nn.LSTM, fused, malloc, time first", "GPT, fused, malloc",
         "GPT, compiled loss, fused, malloc"}


class Worker:
    """A rival's mode in a process of its own, ready to run when its constructor returns."""

    def __init__(self, mode, threads, workload, dump):
        self.rival, self.mode, options, environment = mode
        self.threads = threads
        options = {**options, "threads": threads}
        if options.pop("bound", False):
            options["cores"] = sorted(os.sched_getaffinity(0))[:threads]
        # These two are set on some machines to work around old OpenBLAS builds; they slow new ones.
        inherited = {name: value for name, value in os.environ.items()
                     if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        counts = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")}
        self.complaints = tempfile.TemporaryFile("w+")
        arguments = [time.monotonic(), self.rival, WORKLOADS[workload], str(dump), options,
                     VERIFY_STEPS]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "rivals.py"), *map(json.dumps, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, text=True,
            env={**inherited, **counts, **environment})
        started = self.answer()
        self.losses, self.first_step_ms = started["losses"], started["first_step_ms"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.complaints.seek(0)
            raise RuntimeError(f"{self.rival} ({self.mode}) stopped: "
                               + " ".join(self.complaints.read().split()[-40:]))
        return json.loads(line)

    def run(self, seconds):
        time.sleep(REST_SECONDS)
        self.process.stdin.write(json.dumps({"seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.complaints.close()


def run_ours(program, workload, threads, seconds, *more):
    """The JSON line of chainrule-bench."""
    command = [str(program), "--workload", workload, "--threads", str(threads),
               "--seconds", str(seconds), *more]
    time.sleep(REST_SECONDS)
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"compare.py: {' '.join(command)} exited with {result.returncode}")
    return json.loads(result.stdout.splitlines()[-1])


def furthest(losses, expected):
    """The largest relative difference between two lists of losses."""
    return max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(losses, expected, strict=True))


def survey(workload, dump, losses, options):
    """[(mode, threads, figures)] of every mode that runs and whose losses agree, the fastest first;
    and what is wrong with the others."""
    found, wrong = [], []
    for threads in options.threads:
        for mode in modes_of(workload):
            if mode[0] not in options.rivals or (options.quick and mode[1] not in QUICK):
                continue
            name = f"{mode[0]} ({mode[1]}) on {threads}"
            try:
                worker = Worker(mode, threads, workload, dump)
            except RuntimeError as error:
                wrong.append(str(error))
                continue
            difference = furthest(worker.losses, losses)
            figures = worker.run(options.seconds / 2)
            worker.close()
            if not difference <= TOLERANCE:
                wrong.append(f"{name}: its losses differ from ours by {difference:.1e}")
                continue
            found.append((mode, threads, figures))
            print(f"  tried {name}: {figures['median_us']:.1f} µs", file=sys.stderr)
    return sorted(found, key=lambda entry: entry[2]["median_us"]), wrong


def keep_fastest(found, options):
    """The `keep` fastest modes of each rival and number of threads."""
    kept = []
    for rival in options.rivals:
        for threads in options.threads:
            kept += [entry for entry in found
                     if entry[0][0] == rival and entry[1] == threads][:options.keep]
    return kept


def compare(workload, options, scratch):
    """Everything that is measured for one workload, as it goes into the JSON file."""
    dump = scratch / f"{workload}.safetensors"
    first = run_ours(options.bench, workload, options.threads[0], 0.1, "--dump", str(dump),
                     "--verify-steps", str(VERIFY_STEPS))
    found, wrong = survey(workload, dump, first["losses"], options)
    workers = [Worker(mode, threads, workload, dump)
               for mode, threads, _ in keep_fastest(found, options)]
    ours = {threads: [] for threads in options.threads}
    theirs = [[] for _ in workers]
    for _ in range(options.rounds):
        for threads in options.threads:
            ours[threads].append(run_ours(options.bench, workload, threads, options.seconds))
        for worker, runs in zip(workers, theirs):
            runs.append(worker.run(options.seconds))
    for worker in workers:
        worker.close()
    return {
        "workload": workload,
        "losses": first["losses"],
        "wrong": wrong,
        "survey": [{"rival": mode[0], "mode": mode[1], "threads": threads, **figures}
                   for mode, threads, figures in found],
        "ours": [{"threads": threads, "rounds": runs} for threads, runs in ours.items()],
        "rivals": [{"rival": worker.rival, "mode": worker.mode, "threads": worker.threads,
                    "first_step_ms": worker.first_step_ms, "rounds": runs}
                   for worker, runs in zip(workers, theirs)],
    }


def median_of(entry, field="median_us"):
    return statistics.median(run[field] for run in entry["rounds"])


def print_table(header, rows):
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    print()


def speed_rows(result):
    """Per number of threads and rival: its best mode among those with no more threads than ours."""
    for ours in result["ours"]:
        for rival in dict.fromkeys(entry["rival"] for entry in result["rivals"]):
            best = min((entry for entry in result["rivals"]
                        if entry["rival"] == rival and entry["threads"] <= ours["threads"]),
                       key=median_of, default=None)
            if best is None:
                continue
            ratios = [theirs["median_us"] / mine["median_us"]
                      for theirs, mine in zip(best["rounds"], ours["rounds"])]
            percent = median_of(ours, "percent_of_peak")
            yield [result["workload"], str(ours["threads"]), f"{median_of(ours):.2f}",
                   f"{percent:.0f} %", rival, f"{best['mode']}; {best['threads']} thr.",
                   f"{median_of(best):.1f}", f"{statistics.median(ratios):.2f}",
                   f"{min(ratios):.2f} to {max(ratios):.2f}"]


def start_rows(result):
    for entry in [{"rival": "chainrule", "mode": "", **ours} for ours in result["ours"]] \
            + result["rivals"]:
        first = entry.get("first_step_ms") or median_of(entry, "first_step_ms")
        yield [result["workload"], entry["rival"], entry["mode"], str(entry["threads"]),
               f"{median_of(entry):.2f}", f"{median_of(entry, 'peak_rss_mb'):.0f}", f"{first:.0f}"]


def parse_arguments():
    parser = argparse.ArgumentParser(description="compares chainrule's training step with its rivals'")
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rivals", nargs="+", default=["PyTorch", "JAX", "NumPy"],
                        choices=["PyTorch", "JAX", "NumPy"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run in a round")
    parser.add_argument("--keep", type=int, default=2,
                        help="how many modes of each rival and number of threads enter the rounds")
    parser.add_argument("--quick", action="store_true", help="few modes, few and short rounds")
    parser.add_argument("--bench", type=Path,
                        default=HERE.parent / "build" / "release" / "chainrule-bench")
    parser.add_argument("--json", type=Path, help="write all that was measured to this file")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.keep = 3, 0.3, 1
    if not options.bench.exists():
        sys.exit(f"compare.py: {options.bench} is not there; build the release preset first")
    return options


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        results = []
        for workload in options.workloads:
            print(f"{workload}:", file=sys.stderr)
            results.append(compare(workload, options, Path(scratch)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")

    print_table(["workload", "threads", "chainrule µs", "of peak", "rival", "its best mode", "µs",
                 "ratio", "over the rounds"], [row for result in results for row in speed_rows(result)])
    print_table(["workload", "who", "mode", "threads", "µs", "peak RSS MB", "first step ms"],
                [row for result in results for row in start_rows(result)])
    wrong = [line for result in results for line in result["wrong"]]
    for line in wrong:
        print(line)
    if not wrong:
        print(f"The first {VERIFY_STEPS} losses of every mode agree with chainrule's to {TOLERANCE:g}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

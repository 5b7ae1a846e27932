#!/usr/bin/env python3
"""Writes the manual page from what the program says of itself.

    tools/make_manual.py VERSION OUTPUT PROGRAM...

PROGRAM --help names the subcommands; each one's --help becomes a section, as it stands.
"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

WIDTH = 73  # what man leaves of 80 columns
SUBCOMMANDS = re.compile(r"^ *subcommands:\s*$", re.IGNORECASE | re.MULTILINE)


def escaped(text):
    """Text that troff prints as it stands."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def wrapped(line):
    """A line of the help at a page's width; what goes on stands below the column of explanations."""
    name = re.match(r" *\S.*? {2,}(?=\S)| *", line)[0]
    if len(line) <= WIDTH:
        return line
    first, indent = name, " " * len(name)
    if len(name) > WIDTH // 2:
        indent = re.match(" *", line)[0] + 4 * " "
        first = name.rstrip() + "\n" + indent
    text = textwrap.wrap(line[len(name):], WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return first + ("\n" + indent).join(text)


def subcommands(overview):
    """[(name, what it does)] of the list that closes the program's --help."""
    start = SUBCOMMANDS.search(overview)
    if start is None:
        sys.exit("make_manual.py: the program's --help lists no subcommands")
    entries = []
    for line in overview[start.end():].strip("\n").splitlines():
        if match := re.match(r" {1,4}(\S+)(?:\s+(.*))?$", line):
            entries.append([match[1], match[2] or ""])
        elif line.strip() and entries:
            entries[-1][1] += " " + line.strip()
    return entries


def page(version, help_of):
    overview = help_of()
    summary = overview.strip().splitlines()[0].rstrip(".")
    summary = re.sub(r"^chainrule ", "", summary)
    commands = subcommands(overview)
    parts = [f'.TH CHAINRULE 1 "" "chainrule {version}" "User Commands"',
             ".SH NAME", f"chainrule \\- {escaped(summary)}",
             ".SH SYNOPSIS", "\\fBchainrule\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]",
             ".SH COMMANDS"]
    for name, what in commands:
        parts += [".TP", f"\\fB{escaped(name)}\\fR", escaped(what)]
    for name, _ in commands:
        text = "\n".join(wrapped(line) for line in help_of(name).strip("\n").splitlines())
        parts += [f".SH CHAINRULE {name.upper()}", ".nf", escaped(text), ".fi"]
    parts += [".SH EXIT STATUS", "0 for success, 1 where something failed or was found wrong, 2 for a command line or",
              "an input that cannot be used."]
    return "\n".join(parts) + "\n"


def main():
    version, output, *program = sys.argv[1:]

    def help_of(*command):
        return subprocess.run([*program, *command, "--help"], check=True, capture_output=True,
                              encoding="utf-8").stdout

    Path(output).write_text(page(version, help_of), encoding="utf-8")


if __name__ == "__main__":
    main()

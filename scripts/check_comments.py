"""Finds comments wider than 110 columns; tables and code blocks in them may be wider.

    python3 scripts/check_comments.py

Needs Python's standard library and git. Exit status 1 if there is one.
"""

import re
import subprocess
import sys
from pathlib import Path

WIDTH = 110
COMMENT = re.compile(r"\s*//[/!]? ?(.*)")


def too_wide(text):
    """Yields the numbers and widths of comment lines that are too wide."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        comment = COMMENT.fullmatch(line)
        if not comment:
            fenced = False
            continue
        if comment[1].startswith("```"):
            fenced = not fenced
        if len(line) > WIDTH and not fenced and not comment[1].startswith("|"):
            yield number, len(line)


def main():
    listed = subprocess.run(["git", "ls-files", "*.rs"], capture_output=True, text=True, check=True)
    found = [(file, *at) for file in listed.stdout.split() for at in too_wide(Path(file).read_text())]
    for file, number, width in found:
        print(f"{file}:{number}: a comment of {width} columns; {WIDTH} at most")
    return 1 if found else 0


sys.exit(main())

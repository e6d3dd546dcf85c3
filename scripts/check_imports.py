"""Finds circular imports between the files of a crate, other than between a module and those above or below it.

    python3 scripts/check_imports.py [CRATE …]        crates below crates/; by default those that have no such circle

Needs Python's standard library alone. An import is a `use crate::…` or `use super::…`; what a path names is the deepest file on
it. Exit status 1 if there is a circle.
"""

import re
import sys
from pathlib import Path

# Crates that must stay free of circular imports.
FREE = ["oneiro-image", "oneiro-net", "oneiro", "oneiro-zoo", "oneiro-media", "oneiro-jobs", "oneiro-cli"]
USE = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?use\s+((?:crate|super|self)\b[^;]*);", re.M)
TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod \w+ \{.*\Z", re.S)


def module_of(path, src):
    parts = list(path.relative_to(src).with_suffix("").parts)
    return tuple(p for p in parts if p not in ("lib", "main", "mod"))


def leaves(text):
    """Returns the paths in `a::{b, c::{d, e}}`: a::b, a::c::d, a::c::e."""
    text = text.strip()
    if "{" not in text:
        return [text.split(" as ")[0]]
    head, rest = text.split("{", 1)
    inner, depth, parts, start = rest[: rest.rindex("}")], 0, [], 0
    for i, c in enumerate(inner + ","):
        depth += {"{": 1, "}": -1}.get(c, 0)
        if c == "," and depth == 0:
            parts.append(inner[start:i])
            start = i + 1
    return [head + leaf for part in parts if part.strip() for leaf in leaves(part)]


def imports(path, module, modules):
    text = TESTS.sub("", path.read_text())
    for use in USE.findall(text):
        for leaf in leaves(" ".join(use.split())):
            names = [n for n in leaf.replace(" ", "").split("::") if n]
            at = list(module)
            while names and names[0] in ("crate", "self", "super"):
                first = names.pop(0)
                at = [] if first == "crate" else at[:-1] if first == "super" else at
            found = at + names
            while tuple(found) not in modules and found:
                found.pop()
            yield tuple(found)


def circles(crate):
    src = Path("crates") / crate / "src"
    files = {module_of(f, src): f for f in src.rglob("*.rs") if f.name != "tests.rs"}
    related = lambda a, b: a[: len(b)] == b or b[: len(a)] == a
    graph = {m: {i for i in imports(f, m, files) if i != m and not related(i, m)} for m, f in files.items()}
    # Finds strongly connected components by Tarjan's algorithm.
    index, low, stack, found = {}, {}, [], []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in graph[v]:
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            component = []
            while not component or component[-1] != v:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(component)

    sys.setrecursionlimit(10_000)
    for v in graph:
        if v not in index:
            visit(v)
    return found


def main():
    wrong = False
    for crate in sys.argv[1:] or FREE:
        for component in circles(crate):
            wrong = True
            print(f"{crate}: " + ", ".join("::".join(m) or "crate" for m in sorted(component)))
    sys.exit(wrong)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Prints the circles between the module files of each crate; fails on one that crosses folders or has over two files.

    tools/module_circles.py [CRATE_FOLDER ...]        without arguments: every crate under crates/

A file uses another when a `use` line, or a path in its code, that begins with `crate`, `super`, `self` or a module that
the file declares, leads to the other. A name that was passed on by a `use` counts for the file that it comes from, and
passing on (`pub use`) is no use. Tests (`#[cfg(test)]`), comments and texts do not count. `a.rs` is in the folder `a/`
where there is one, as `a/mod.rs` is.
"""

import re
import sys
from pathlib import Path

NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\bb?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^'\\])'""", re.DOTALL
)
DECLARED = re.compile(r"(#\[path\b[^\]]*\]\s*)?(?:pub(?:\([^)]*\))?\s+)?\bmod\s+(\w+)\s*;")
USE = re.compile(r"(\bpub(?:\([^)]*\))?\s+)?\buse\s+([^;]*);")


def blank(found):
    """Spaces in place of what was found, so that everything else keeps its place and its line."""
    return re.sub(r"[^\n]", " ", found[0])


def without_tests(code):
    """The code without the items that stand under `#[cfg(test)]`."""
    while found := re.search(r"#\[cfg\(test\)\]", code):
        end, depth = found.end(), 0
        while end < len(code) and (depth or code[end - 1] not in ";}"):
            depth += (code[end] in "([{") - (code[end] in ")]}")
            end += 1
        code = code[: found.start()] + re.sub(r"[^\n]", " ", code[found.start() : end]) + code[end:]
    return code


def segments(path):
    return [segment.strip() for segment in path.split("::") if segment.strip()]


def imports(tree):
    """The paths of a use tree and the names that they get: `a::{b, c as d}` gives (a::b, b) and (a::c, d)."""
    head, brace, body = tree.partition("{")
    if not brace:
        path, _, name = tree.partition(" as ")
        path = segments(path)
        return [(path, name.strip() or path[-1])] if path else []
    parts, depth = [""], 0
    for letter in body.rstrip().removesuffix("}"):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    head = segments(head)
    below = [found for part in parts for found in imports(part)]
    return [(head, head[-1]) if path == ["self"] else (head + path, name) for path, name in below]


class Module:
    """A file, the modules that it declares, the names that it imports, and the paths that it follows with their lines."""

    def __init__(self, file, below, parent=None):
        self.file, self.below, self.parent = file, below, parent
        self.children, self.names, self.paths = {}, {}, []
        source = file.read_text()
        code = without_tests(NOISE.sub(blank, source))
        for found in DECLARED.finditer(code):
            name = found[2]
            written = re.search('"(.*?)"', source[found.start() : found.end()])
            places = [file.parent / written[1]] if written else [below / f"{name}.rs", below / name / "mod.rs"]
            for place in filter(Path.is_file, places):
                self.children[name] = Module(place, below / name, self)
        line = lambda place: 1 + code.count("\n", 0, place)
        for found in USE.finditer(code):
            for path, name in imports(found[2]):
                self.names[name] = path
                if not found[1]:
                    self.paths.append((path, line(found.start(2))))
        first = "|".join(["crate", "super", "self", *self.children])
        for found in re.finditer(rf"(?<![\w:])(?:{first})(?:\s*::\s*\w+)+", USE.sub(blank, code)):
            self.paths.append((segments(found[0]), line(found.start())))

    def folder(self):
        return self.below if self.below.is_dir() else self.file.parent

    def modules(self):
        return [self, *(module for child in self.children.values() for module in child.modules())]

    def target(self, path, passed=()):
        """The module to whose file a path leads; nothing for one that leads out of the crate."""
        at, rest = self, list(path)
        if rest[0] not in ("crate", "super", "self", *self.children, *self.names):
            return None
        while rest and rest[0] in ("crate", "super", "self"):
            step = rest.pop(0)
            while at and step == "crate" and at.parent:
                at = at.parent
            at = at.parent if step == "super" else at
            if at is None:
                return None
        for index, name in enumerate(rest):
            if name in at.children:
                at = at.children[name]
            elif name in at.names and (at, name) not in passed:
                return at.target(at.names[name] + rest[index + 1 :], (*passed, (at, name)))
            else:
                break
        return at


def circles(modules):
    """Groups of modules each of which leads to every other, with user, line and used of what ties them."""
    uses = {module: {} for module in modules}
    for module in modules:
        for path, line in module.paths:
            uses[module].setdefault(module.target(path), line)
        uses[module] = {used: line for used, line in uses[module].items() if used not in (None, module)}
    reached = {}
    for module in modules:
        reached[module], ends = set(), [module]
        while ends:
            new = set(uses[ends.pop()]) - reached[module]
            reached[module] |= new
            ends += new
    left = list(modules)
    while left:
        group = [other for other in left if other in reached[left[0]] and left[0] in reached[other]]
        if group:
            yield group, [(user, line, used) for user in group for used, line in uses[user].items() if used in group]
        left = [module for module in left[1:] if module not in group]


def main(crates):
    wrong = 0
    for crate in crates:
        for root in filter(Path.is_file, (crate / "src/lib.rs", crate / "src/main.rs")):
            for group, ties in circles(Module(root, root.parent).modules()):
                faults = ["crosses folders"] * (len({module.folder() for module in group}) > 1)
                faults += ["more than two"] * (len(group) > 2)
                wrong += bool(faults)
                print(f"{crate.name}: a circle of {len(group)} files" + f" ({', '.join(faults)})" * bool(faults))
                for user, line, used in ties:
                    print(f"  {user.file}:{line} uses {used.file}")
    if wrong:
        print(f"error: circles that cross folders or have more than two files: {wrong}", file=sys.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    everywhere = Path(__file__).resolve().parent.parent.glob("crates/*")
    sys.exit(main([Path(name) for name in sys.argv[1:]] or sorted(everywhere)))

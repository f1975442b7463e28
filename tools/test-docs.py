#!/usr/bin/env python3
"""Checks the commands and links of README.md, CONTRIBUTING.md and docs/: `tools/test-docs.py target/debug/delora`.

Nothing is trained or downloaded. Of a line in a block marked ```sh,

    just RECIPE …    the recipe runs with a `cargo` that only writes down how `delora` would be called, as below;
                     a recipe that calls something else has to exist and to take as many arguments
    delora …         the program has to accept subcommand, options and their values
    delora run F …   (plan, verify-resume) besides, `delora status F …` has to find every setting, file and trial

A block that needs more than the repository has says so: needs-network, needs-data or needs-files behind `sh`. Its lines are
parsed, but not planned. So are commands in running text, as in `just test`. A block marked `toml experiment` is a whole
experiment file, and is planned. The list WRONG at the end has to be refused, so that the checks are known to see.
"""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
HISTORY = ["docs/log.md"]  # its links are checked, its commands are those of their day
NEEDS = {"needs-network", "needs-data", "needs-files"}
PLANNED = {"run", "plan", "verify-resume"}
TAKES_EXPERIMENT = PLANNED | {"status", "clean", "plots"}
KEPT_BY_STATUS = {"--scale", "--set", "--models", "--data", "--results"}
SAFE_AS_WRITTEN = {"methods", "params"}  # prints and ends
MISSING_FILE_ENDS_IT = {"export", "import"}  # exit code 1 for a placeholder, 2 for wrong usage
LEFT_TO_THE_READER = {"export", "cd", "cp", "git", "python", "python3"}
LINK = re.compile(r"\[[^\[\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


class Refused(Exception):
    pass


class Recipes:
    """The justfile, asked without running a recipe's real work."""

    def __init__(self, folder):
        self.just = next((path for path in [os.environ.get("JUST"), ROOT / ".tools/just/bin/just"] if path and Path(path).exists()), "just")
        self.folder = folder
        fake = folder / "cargo"
        fake.write_text('#!/usr/bin/env bash\nprintf "%s\\0" "$@" >>"$CALLS"; printf "\\n" >>"$CALLS"\n')
        fake.chmod(0o755)
        (folder / "libtorch/include").mkdir(parents=True)
        dump = subprocess.run([self.just, "--dump", "--dump-format", "json"], cwd=ROOT, capture_output=True, text=True, check=True)
        self.recipes = json.loads(dump.stdout)["recipes"]

    def calls(self, words):
        """The calls of `delora` that `just WORDS` makes."""
        name = words[0] if words else None
        if name is None:
            return []
        if name not in self.recipes:
            raise Refused(f"the justfile has no recipe `{name}`")
        if "--" in words:
            raise Refused("arguments follow the recipe without `--`")
        if '["variable", "delora"]' not in json.dumps(self.recipes[name]["body"]):
            self.run(["--dry-run", *words])
            return []
        record = self.folder / "calls"
        record.write_bytes(b"")
        self.run(words)
        calls = [line.rstrip("\0").split("\0") for line in record.read_text().split("\n") if line]
        return [call[call.index("--") + 1 :] for call in calls if "--bin" in call and "delora" in call]

    def run(self, words):
        path = f"{self.folder}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CALLS": str(self.folder / "calls"), "LIBTORCH": str(self.folder / "libtorch")}
        done = subprocess.run([self.just, *words], cwd=ROOT, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise Refused(first_line(done.stderr))


class Program:
    """`delora`, which takes half a second to start: equal calls are made once, and several side by side."""

    def __init__(self, path):
        self.path = str(Path(path).resolve())
        self.calls = {}  # (arguments, exit codes that are right) -> where it stands
        self.options = {}  # subcommand -> an option with its value -> where it stands
        listed = subprocess.run([self.path, "--help"], capture_output=True, text=True, check=True).stdout
        self.names = re.findall(r"^  ([a-z-]+)  ", listed, flags=re.M)

    def ask(self, arguments, place, right=(0,)):
        self.calls.setdefault((tuple(arguments), right), []).append(place)

    def parse(self, name, words, place):
        """Whether the subcommand is there and takes these options."""
        if name not in [*self.names, "--help"]:
            raise Refused(f"there is no command `{name}`")
        known = self.options.setdefault(name, {})
        for option in options(words):
            known.setdefault(option, []).append(place)

    def answers(self):
        """What is wrong, with its place. Options of several lines are parsed by one call, and alone where that is refused."""
        found = self.make_calls(self.calls)
        packs = [(name, pack) for name, known in self.options.items() for pack in packed(known)]
        refused = self.make_calls({parsing(name, pack): [(name, pack)] for name, pack in packs})
        alone = {}
        for (name, pack), _ in refused:
            alone.update({parsing(name, [option]): self.options[name][option] for option in pack})
        found += self.make_calls(alone)
        self.calls, self.options = {}, {}
        return [f"{place}: {wrong}" for place, wrong in found]

    def make_calls(self, calls):
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            answers = list(zip(calls.values(), pool.map(self.call, calls)))
        return [(place, wrong) for places, wrong in answers if wrong for place in places]

    @functools.cache
    def call(self, key):
        arguments, right = key
        done = subprocess.run([self.path, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode in right:
            return None
        return first_line(done.stderr or done.stdout) or f"exit code {done.returncode}"


def parsing(name, pack):
    """The call that parses options and ends; those without a name come first."""
    return ((name, *(word for option in pack for word in option), "--help"), (0,))


def options(words):
    """Each option with its value, and what comes before them. ANY is what the parser takes in any form."""
    found = []
    for before, word in zip([None, *words], words):
        if word.startswith("--") or not found:
            found.append((word if word.startswith("--") else "ANY",))
        else:
            found[-1] += ("ANY=VALUE" if before in KEPT_BY_STATUS or found[-1][0] == "ANY" else word,)
    return found


def packed(known):
    """Options in as few lists as have none of them twice."""
    packs = []
    for option in sorted(known, key=lambda option: option[0] != "ANY"):
        free = (pack for pack in packs if option[:1] not in [other[:1] for other in pack])
        pack = next(free, None)
        if pack is None:
            packs.append(pack := [])
        pack.append(option)
    return packs


class Checks:
    def __init__(self, recipes, program, folder):
        self.recipes, self.program, self.folder = recipes, program, folder
        self.wrong = []
        self.num_commands = self.num_links = 0

    def line(self, text, place, depth="plan"):
        """Every command of a line, as deep as "plan", "parse" or, in running text, "mention"."""
        shown = re.sub(r"\s+#.*", "", text).strip()
        place = f"{place}: {shown}"
        for command in re.split(r"\s(?:&&|\|)\s", text):
            try:
                self.command(shlex.split(command, comments=True), place, depth)
            except (Refused, ValueError) as error:
                self.wrong.append(f"{place}: {error}")

    def command(self, words, place, depth):
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if not words or words[0] in LEFT_TO_THE_READER and not any(word.startswith("tools/") for word in words):
            return
        self.num_commands += 1
        program, arguments = words[0], words[1:]
        if program in ("just", "./justw"):
            for call in self.recipes.calls(arguments):
                self.delora(call, place, depth)
        elif program == "delora" or program.endswith("/delora"):
            self.delora(arguments, place, depth)
        elif program == "cargo":
            cargo(arguments)
        else:
            script(words)

    def delora(self, arguments, place, depth):
        if not arguments:
            return
        name, rest = arguments[0], arguments[1:]
        if name in SAFE_AS_WRITTEN:
            self.program.ask(arguments, place)
            return
        if name == "fetch":
            self.program.ask(["fetch", *rest, *(["--list"] if rest and "--list" not in rest else [])], place)
            return
        if name in MISSING_FILE_ENDS_IT and depth != "mention":
            self.program.ask(arguments, place, right=(0, 1))
            return
        file = experiment_of(rest) if name in TAKES_EXPERIMENT else None
        given = [word for word in rest if word is not file]
        kept = status_options(given)
        if depth == "plan" and name in TAKES_EXPERIMENT and not (file and (ROOT / file).is_file()):
            raise Refused(f"there is no experiment file `{file}`")
        if depth == "plan" and name in PLANNED:
            self.program.ask(["status", file, *kept], place)
            if kept == given:
                return  # status has read the same options
        self.program.parse(name, given, place)

    def page(self, page, text):
        block, mark = None, ""
        for number, line in enumerate(text.splitlines(), 1):
            place = f"{page}:{number}"
            fence = re.match(r"\s*```(.*)", line)
            if fence and block is None:
                block, mark = [], fence[1].strip()
                self.fence(mark, place)
            elif fence:
                self.block(block, mark)
                block = None
            elif block is not None:
                block.append((place, line))
            elif page not in HISTORY:
                self.prose(line, place)
        if block is not None:
            self.wrong.append(f"{page}: a block without an end")

    def fence(self, mark, place):
        kind, *needs = mark.split() or [""]
        if not kind:
            self.wrong.append(f"{place}: say what the block holds: sh, toml, text, …")
        elif kind == "sh" and not set(needs) <= NEEDS:
            self.wrong.append(f"{place}: `{mark}`: behind `sh` only {', '.join(sorted(NEEDS))}")

    def block(self, lines, mark):
        if mark == "toml experiment":
            file = self.folder / f"{self.num_commands}.toml"
            file.write_text("\n".join(line for _, line in lines) + "\n")
            self.program.ask(["status", str(file)], lines[0][0])
        if mark.split()[0] != "sh":
            return
        whole = ""
        for place, line in lines:
            whole += line
            if whole.endswith("\\"):
                whole = whole[:-1]
                continue
            self.line(whole, place, "plan" if mark == "sh" else "parse")
            whole = ""

    def prose(self, line, place):
        if re.match(r"(    |\t)(just|delora|\./justw) ", line):
            self.wrong.append(f"{place}: a command belongs into a block marked ```sh")
        for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", line):
            if re.match(r"(just|delora|\./justw) ", code):
                self.line(code.replace("…", ""), place, "mention")

    def links(self, page, text, known):
        for link in links_of(text):
            if not link.startswith(("https://", "http://")):
                self.num_links += 1
                wrong = bad_link(page, link, known)
                if wrong:
                    number = text[: text.index(link)].count("\n") + 1
                    self.wrong.append(f"{page}:{number}: {link}: {wrong}")


def experiment_of(words):
    """The experiment file among arguments."""
    for before, word in zip([None, *words], words):
        if word.endswith(".toml") and before not in KEPT_BY_STATUS:
            return word
    return None


def status_options(words):
    kept = []
    for word, value in zip(words, [*words[1:], None]):
        if word in KEPT_BY_STATUS and value is not None:
            kept += [word, value]
        elif word.split("=")[0] in KEPT_BY_STATUS and "=" in word:
            kept.append(word)
    return kept


def cargo(words):
    """The package that is named has to be there, and its benchmark, example or test."""
    package = words[words.index("-p") + 1] if "-p" in words else None
    if package and not (ROOT / "crates" / package).is_dir():
        raise Refused(f"there is no package `{package}`")
    for kind in ("bench", "example", "test"):
        if f"--{kind}" in words:
            name = words[words.index(f"--{kind}") + 1]
            folder = ROOT / "crates" / (package or "") / (kind if kind != "bench" else "benche")
            if not list(Path(f"{folder}s").glob(f"{name}*")):
                raise Refused(f"`{package}` has no {kind} `{name}`")


def script(words):
    """A script of the repository that knows the options it is given."""
    paths = [word for word in words if word.startswith(("tools/", ".ci/"))]
    if not paths:
        raise Refused(f"`{words[0]}` is not known here; mark the block with another word than `sh`")
    for path in paths:
        if not (ROOT / path).is_file():
            raise Refused(f"there is no `{path}`")
    source = (ROOT / paths[-1]).read_text()
    for word in words:
        if word.startswith("--") and word.split("=")[0] not in source:
            raise Refused(f"{paths[-1]} has no option `{word}`")


def tracked():
    """Files of the repository, as git has them or would take them."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    return set(listed.stdout.splitlines()) if listed.returncode == 0 else None


def links_of(text):
    return [markdown or html for markdown, html in LINK.findall(text)]


def bad_link(page, link, known):
    path, _, anchor = link.partition("#")
    target = page if not path else os.path.normpath(os.path.join(os.path.dirname(page), path))
    if not (ROOT / target).exists():
        return "is not there"
    if known is not None and target not in known and not any(name.startswith(f"{target}/") for name in known):
        return "is not in git"
    if anchor and anchor not in anchors((ROOT / target).read_text()):
        return "has no such heading"
    return None


def anchors(text):
    """The anchors that a hub's Markdown gives to headings."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings]


def first_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else ""


# Each is wrong in another way.
WRONG = [
    "just no-such-recipe",
    "just real-photos",
    "just ablation-table1 --scal smoke",
    "just ablation-table1 -- --scale smoke",
    "just table3 --set methods=lora",
    "delora run experiments/no-such-file.toml",
    "delora run experiments/table1.toml --only faild",
    "delora no-such-command",
    "delora export FILE --format peft",
    "cargo test -p no-such-crate",
    "tools/glue_peft.py --no-such-option",
    "no-such-program --help",
]


def not_seen(recipes, program, folder):
    """Lines of WRONG that the checks take for right."""
    for line in WRONG:
        checks = Checks(recipes, program, folder)
        checks.line(line, "")
        if not checks.wrong and not program.answers():
            yield f"tools/test-docs.py: does not see that `{line}` is wrong"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: tools/test-docs.py DELORA")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        recipes, program = Recipes(folder), Program(sys.argv[1])
        if not (ROOT / "data/mini-pairs/validation.jsonl").is_file():
            subprocess.run([program.path, "world", "--pairs"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        checks, known = Checks(recipes, program, folder), tracked()
        for page in PAGES:
            text = (ROOT / page).read_text()
            checks.page(page, text)
            checks.links(page, text, known)
        linked = {os.path.normpath(link.split("#")[0]) for link in links_of((ROOT / "README.md").read_text())}
        checks.wrong += [f"README.md: does not link to {page}" for page in PAGES[1:] if page not in linked]
        mistakes = [*checks.wrong, *program.answers(), *not_seen(recipes, program, folder)]
    mistakes = dict.fromkeys(mistakes)
    for mistake in mistakes:
        print(mistake)
    print(f"{checks.num_commands} commands and {checks.num_links} links in {len(PAGES)} pages, {len(mistakes)} mistakes")
    sys.exit(1 if mistakes else 0)


if __name__ == "__main__":
    main()

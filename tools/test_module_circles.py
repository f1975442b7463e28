#!/usr/bin/env python3
"""Gives `module_circles.py` small crates with and without circles, and looks at what it says."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import module_circles


def said(files):
    """Exit code and text for a crate of these files."""
    with tempfile.TemporaryDirectory() as folder:
        crate = Path(folder) / "house"
        for name, text in files.items():
            path = crate / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = module_circles.main([crate])
        return code, output.getvalue().replace(f"{crate}/src/", "")


class Circles(unittest.TestCase):
    def test_two_files_of_one_folder_are_told_and_allowed(self):
        code, text = said({"lib.rs": "mod a;\nmod b;", "a.rs": "\nuse crate::b::B;", "b.rs": "fn f() { super::a::g() }"})
        self.assertEqual((code, text.count("a circle")), (0, 1), text)
        self.assertIn("house: a circle of 2 files\n  a.rs:2 uses b.rs\n  b.rs:1 uses a.rs\n", text)

    def test_three_files_are_an_error(self):
        files = {"lib.rs": "mod a; mod b; mod c;", "a.rs": "use crate::{b::{self, B as D}};", "b.rs": "use super::c::C;"}
        self.assertEqual(said({**files, "c.rs": "struct C;"}), (0, ""))
        code, text = said({**files, "c.rs": "struct C(crate::a::A);"})
        self.assertEqual(code, 1)
        self.assertIn("a circle of 3 files (more than two)", text)

    def test_two_folders_are_an_error(self):
        files = {"lib.rs": "mod a; mod b;", "a/mod.rs": "pub mod x;", "b.rs": "pub mod y;"}
        code, text = said({**files, "a/x.rs": "use crate::b::y::Y;", "b/y.rs": "use crate::a::x::X;"})
        self.assertEqual(code, 1)
        self.assertIn("a circle of 2 files (crosses folders)\n  a/x.rs:1 uses b/y.rs", text)

    def test_a_module_and_its_child_are_one_folder(self):
        code, text = said({"lib.rs": "mod a;", "a.rs": "mod x;\nfn f() { x::g(); }", "a/x.rs": "use super::A;"})
        self.assertEqual(code, 0)
        self.assertIn("a circle of 2 files\n  a.rs:2 uses a/x.rs\n  a/x.rs:1 uses a.rs", text)

    def test_a_name_that_is_passed_on_counts_for_its_own_file(self):
        files = {"lib.rs": "mod a; mod b;\npub use a::A;", "a.rs": "use crate::b::B;"}
        self.assertEqual(said({**files, "b.rs": "struct B(crate::SIZE);"}), (0, ""))
        code, text = said({**files, "b.rs": "use crate::A;"})
        self.assertIn("a.rs:1 uses b.rs\n  b.rs:1 uses a.rs", text)

    def test_tests_comments_and_texts_do_not_count(self):
        quiet = """
            //! [`crate::a::A`]
            #[cfg(test)] use crate::a::A;
            const TEXT: &str = "crate::a::A {"; const LETTER: char = '{'; /* crate::a::A */
            #[cfg(test)]
            mod tests { fn f() -> [u8; 2] { crate::a::g("}") } }
        """
        files = {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;"}
        self.assertEqual(said({**files, "b.rs": quiet}), (0, ""))
        code, text = said({**files, "b.rs": quiet + "fn f<'a>() { g(crate::a::A) }"})
        self.assertIn("b.rs:7 uses a.rs", text)


if __name__ == "__main__":
    unittest.main()

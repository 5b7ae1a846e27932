"""Changes files of a small repository and asks tools/changed_sources whom that concerns."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "changed_sources"
FILES = {
    "include/chainrule/graph.h": "#include <vector>\n",
    "src/base/near.h": "",
    "src/ops/op.h": '#include "chainrule/graph.h"\n#include "base/near.h"\n',
    "src/base/near.cpp": '#include "base/near.h"\n',
    "src/ops/op.cpp": '#include "op.h"\n',
    "src/cli/main.cpp": "#include <chainrule/graph.h>\n",
}
SOURCES = [path for path in FILES if path.endswith(".cpp")]


class ChangedSources(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        for path, text in FILES.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        (self.root / "tools").mkdir()
        shutil.copy(TOOL, self.root / "tools")
        self.git("init", "-q", "-b", "main")
        self.commit("the start", "2024-01-01T00:00")

    def git(self, *arguments, date=None):
        identity = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
        subprocess.run(["git", "-C", self.root, *arguments], check=True, capture_output=True,
                       env={**os.environ, **identity, **dates})

    def commit(self, message, date):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message, date=date + "+0000")

    def change(self, path):
        (self.root / path).write_text(FILES.get(path, "") + "// changed\n")

    def concerned(self, *options):
        result = subprocess.run([sys.executable, self.root / "tools" / "changed_sources", *options, *SOURCES],
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.split()

    def test_a_source_and_nothing(self):
        self.assertEqual(self.concerned("--since", "HEAD"), [])
        self.change("src/base/near.cpp")
        self.assertEqual(self.concerned("--since", "HEAD"), ["src/base/near.cpp"])

    def test_a_header_concerns_whoever_includes_it_by_whatever_way(self):
        self.change("src/base/near.h")
        self.assertEqual(self.concerned("--since", "HEAD"), ["src/base/near.cpp", "src/ops/op.cpp"])
        self.git("checkout", "-q", ".")
        self.change("include/chainrule/graph.h")
        self.assertEqual(self.concerned("--since", "HEAD"), ["src/ops/op.cpp", "src/cli/main.cpp"])

    def test_other_checks_concern_everybody(self):
        self.change(".clang-tidy")
        self.commit("more checks", "2024-01-02T00:00")
        self.assertEqual(self.concerned("--since", "HEAD^"), SOURCES)

    def test_the_release_before_head_comes_first(self):
        self.change("src/base/near.cpp")
        self.commit("one", "2024-01-02T00:00")
        self.git("tag", "v0.1.0")
        self.change("src/cli/main.cpp")
        self.commit("two", "2024-01-05T00:00")
        self.assertEqual(self.concerned(), ["src/cli/main.cpp"])
        # A release is counted from the one before it, not from itself.
        self.git("tag", "v0.2.0")
        self.assertEqual(self.concerned(), ["src/cli/main.cpp"])

    def test_a_branch_is_counted_from_where_it_left_main(self):
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        self.change("src/base/near.cpp")
        self.commit("one", "2024-01-02T00:00")
        self.change("src/cli/main.cpp")
        self.commit("two", "2024-01-05T00:00")
        self.assertEqual(self.concerned(), ["src/base/near.cpp", "src/cli/main.cpp"])

    def test_a_clone_of_main_is_counted_by_time(self):
        self.change("src/base/near.cpp")
        self.commit("one", "2024-01-02T00:00")
        self.change("src/cli/main.cpp")
        self.commit("two", "2024-01-05T00:00")
        self.change("src/ops/op.cpp")
        self.commit("three", "2024-01-05T03:00")
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        self.assertEqual(self.concerned(), ["src/ops/op.cpp", "src/cli/main.cpp"])

    def test_of_many_those_that_changed_most_are_kept(self):
        self.change("include/chainrule/graph.h")
        self.change("src/base/near.cpp")
        (self.root / "src/cli/main.cpp").write_text(FILES["src/cli/main.cpp"] + "// changed\n" * 3)
        self.assertEqual(self.concerned("--since", "HEAD"), SOURCES)
        self.assertEqual(self.concerned("--since", "HEAD", "--most", "2"), ["src/cli/main.cpp", "src/base/near.cpp"])
        self.assertEqual(self.concerned("--since", "HEAD", "--most", "3"), SOURCES)

    def test_a_file_that_only_moved_has_not_changed_much(self):
        long = FILES["src/base/near.cpp"] + "// a line\n" * 50
        (self.root / "src/base/near.cpp").write_text(long)
        self.git("commit", "-qam", "longer")
        (self.root / "src/cli/main.cpp").write_text(FILES["src/cli/main.cpp"] + "// changed\n" * 3)
        self.git("mv", "src/base/near.cpp", "src/base/close.cpp")
        files = ["src/base/close.cpp", "src/cli/main.cpp"]
        result = subprocess.run([sys.executable, self.root / "tools" / "changed_sources", "--since", "HEAD", "--most", "1", *files],
                                capture_output=True, text=True, check=True)
        self.assertEqual(result.stdout.splitlines(), ["src/cli/main.cpp"])

    def test_where_git_cannot_tell_everything_is_concerned(self):
        self.assertEqual(self.concerned(), SOURCES)


if __name__ == "__main__":
    unittest.main()

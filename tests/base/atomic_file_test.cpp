// What stands at the path is the old file or the whole new one, and nothing else about it changes.
#include "base/atomic_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "chainrule/error.h"
#include "support/folder.h"

using namespace chainrule;

namespace {

namespace fs = std::filesystem;

void put(AtomicFile& file, const std::string& text) { file.write(std::as_bytes(std::span(text))); }

void write(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  put(file, text);
  file.commit();
}

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::string refusal(const std::string& path) {
  try {
    const AtomicFile file(path);
  } catch (const FileError& error) {
    CHECK(error.file == path);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a file appears when it is committed, and not before or otherwise") {
  const Folder folder;
  const std::string path = folder / "f";
  write(path, "old");
  {
    AtomicFile file(path);
    put(file, "half a n");
    CHECK(contents(path) == "old");
  }
  CHECK(contents(path) == "old");
  CHECK(folder.files() == 1);
  write(path, "new");
  CHECK(contents(path) == "new");
  CHECK(folder.files() == 1);
}

TEST_CASE("two writers of one file do not share what they write beside it") {
  const Folder folder;
  const std::string path = folder / "f";
  AtomicFile first(path);
  AtomicFile second(path);
  put(first, "aaaa");
  put(second, "bb");
  put(first, "aaaa");
  second.commit();
  CHECK(contents(path) == "bb");
  first.commit();
  CHECK(contents(path) == "aaaaaaaa");
  CHECK(folder.files() == 1);
}

TEST_CASE("a new file has the mode that the umask leaves, a replaced one keeps its own") {
  const Folder folder;
  const mode_t before = ::umask(027);
  write(folder / "new", "x");
  ::umask(before);
  CHECK(mode_of(folder / "new") == 0640);
  for (const mode_t mode : {0600U, 0666U, 0755U}) {
    CAPTURE(mode);
    const std::string path = folder / std::to_string(mode);
    write(path, "old");
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    write(path, "new");
    CHECK(mode_of(path) == mode);
    CHECK(contents(path) == "new");
  }
}

TEST_CASE("a symbolic link is followed and stays") {
  const Folder folder;
  fs::create_directory(folder / "elsewhere");
  write(folder / "elsewhere/file", "old");
  fs::create_symlink("elsewhere/file", folder / "link");
  fs::create_symlink("link", folder / "link to a link");
  fs::create_symlink(folder / "elsewhere/later", folder / "dangling");
  write(folder / "link to a link", "new");
  write(folder / "dangling", "later");
  CHECK(contents(folder / "elsewhere/file") == "new");
  CHECK(contents(folder / "elsewhere/later") == "later");
  for (const char* name : {"link", "link to a link", "dangling"}) {
    CHECK(fs::is_symlink(folder / name));
  }
  fs::create_symlink("round", folder / "about");
  fs::create_symlink("about", folder / "round");
  CHECK(refusal(folder / "round").find("symbolic links") != std::string::npos);
}

TEST_CASE("a name as long as the file system allows, of any bytes, is written") {
  const Folder folder;
  const std::string path = folder / std::string(250, 'n').append("\xE9");
  write(path, "x");
  CHECK(contents(path) == "x");
  CHECK(folder.files() == 1);
}

TEST_CASE("where no file can be made is said with the reason") {
  const Folder folder;
  CHECK(refusal("") == ": cannot be written: the name is empty");
  CHECK(refusal(folder / "") == (folder / "") + ": cannot be written: it is a directory");
  CHECK(refusal("/dev/full") == "/dev/full: cannot be written: it is no regular file");
  CHECK(refusal(folder / "no/f") ==
        (folder / "no/f") + ": cannot be written: there is no folder " + (folder / "no"));
  write(folder / "f", "x");
  CHECK(refusal(folder / "f/g").find("Not a directory") != std::string::npos);
  if (::geteuid() != 0) {
    fs::permissions(folder / "f", fs::perms::owner_read);
    CHECK(refusal(folder / "f").find("Permission denied") != std::string::npos);
    fs::permissions(folder / "", fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(refusal(folder / "g").find("no file can be made in the folder") != std::string::npos);
    fs::permissions(folder / "", fs::perms::owner_all);
  }
}

TEST_CASE("one file is found under all its names") {
  const Folder folder;
  write(folder / "f", "x");
  write(folder / "g", "x");
  fs::create_symlink("f", folder / "symbolic");
  fs::create_hard_link(folder / "f", folder / "hard");
  CHECK(is_same_file(folder / "f", folder / "./f"));
  CHECK(is_same_file(folder / "f", folder / "symbolic"));
  CHECK(is_same_file(folder / "hard", folder / "symbolic"));
  CHECK_FALSE(is_same_file(folder / "f", folder / "g"));
  CHECK_FALSE(is_same_file(folder / "none", folder / "none"));
}

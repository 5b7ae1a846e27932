// Whole files, or the system's reason why not.
#include "base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "chainrule/error.h"
#include "data/data_testing.h"
#include "support/folder.h"

using namespace chainrule;
using chainrule::testing::message_of;
using chainrule::testing::TemporaryFile;

namespace {

std::string refusal(const std::string& path, const Reading& how = {}) {
  return message_of<FileError>([&] { read_file(path, how); }, path);
}

std::string noise(std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * i >> 7U);
  return bytes;
}

}  // namespace

TEST_CASE("a file is read to its last byte") {
  for (const std::size_t size : {0UL, 1UL, 15UL, 64UL, 262143UL, 262144UL, 262145UL, 3000000UL}) {
    const std::string bytes = noise(size);
    const TemporaryFile file("whole", bytes);
    CHECK(read_file(file.path()) == bytes);
  }
  CHECK(read_file("/dev/null").empty());
  // The system says of its own files that they are empty.
  CHECK(read_file("/proc/self/status").find("VmPeak") != std::string::npos);
}

TEST_CASE("a pipe is read to its end, however it comes in pieces") {
  const Folder folder;
  const std::string path = folder / "pipe";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const std::string bytes = noise(300000);
  std::thread writer([&] {
    std::ofstream out(path, std::ios::binary);
    for (std::size_t at = 0; at < bytes.size(); at += 7001)
      out << bytes.substr(at, 7001) << std::flush;
  });
  CHECK(read_file(path) == bytes);
  writer.join();
}

TEST_CASE("what cannot be read, or has no end, is refused") {
  CHECK(refusal("/nonexistent/x") == ": cannot be opened: No such file or directory");
  CHECK(refusal("/tmp") == ": is a folder; expected a file");
  CHECK(refusal("/dev/zero") == ": is a device; expected a file or a pipe");
  // An error of the system in the middle of reading: nothing lies at address 0.
  CHECK(refusal("/proc/self/mem") == ": cannot be read: Input/output error");
}

TEST_CASE("a file of another kind is refused by its beginning, a large one by its size") {
  const TemporaryFile sparse("sparse", "x");
  std::filesystem::resize_file(sparse.path(), std::uintmax_t{1} << 36U);
  CHECK(refusal(sparse.path(), {.text = "a CSV file", .most = std::uint64_t{1} << 40U}) ==
        ": expected a CSV file, got binary data");
  CHECK(refusal(sparse.path(), {.most = 1000}) == ": holds 68.7 GB; expected at most 1 KB");
  const auto begins = [](std::string_view head) {
    CHECK(head.size() == 64);
    throw UsageError("begins with x");
  };
  CHECK(message_of<UsageError>([&] {
          read_file(sparse.path(), {.most = std::uint64_t{1} << 40U, .begins = begins});
        }) == "begins with x");
  const TemporaryFile small("small", "abc");
  std::string seen = "nothing";
  read_file(small.path(), {.begins = [&](std::string_view head) { seen = head; }});
  CHECK(seen == "abc");
}

TEST_CASE("a file's name in messages is printable") {
  CHECK(file_name("a/b c.csv") == "a/b c.csv");
  CHECK(file_name("x\x1B[0m") == "x\\x1B[0m");
  CHECK(file_name(kStandardInput) == "standard input");
  CHECK(message_of<FileError>([] { read_file("/nonexistent/\n"); }) ==
        "/nonexistent/\\n: cannot be opened: No such file or directory");
}

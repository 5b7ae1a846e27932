// Temporary files for the tests of the data readers.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace chainrule::testing {

/// A file that is removed again at the end of the test. Error messages begin with its path. Its
/// name is this process's own: two test programs may run at once.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& content)
      : path_((std::filesystem::temp_directory_path() /
               ("chainrule_test_" + std::to_string(::getpid()) + "_" + name))
                  .string()) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The text of the error that `action` throws, with `path` cut from its front.
template <typename E, typename Action>
std::string message_of(const Action& action, const std::string& path = {}) {
  try {
    action();
  } catch (const E& error) {
    const std::string text = error.what();
    return text.starts_with(path) ? text.substr(path.size()) : text;
  }
  return "no error";
}

}  // namespace chainrule::testing

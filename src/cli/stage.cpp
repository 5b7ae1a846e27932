// One list of what libraries throw. Their own texts ("vector::_M_default_append") say nothing to
// whoever reads them, so none of them is passed on but those of the system.
#include "cli/stage.h"

#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

#include "chainrule/error.h"

namespace chainrule::cli {

void rethrow_told(const std::string& stage) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw MemoryError("out of memory while " + stage);
  } catch (const std::length_error&) {  // a size that no memory has room for
    throw MemoryError("out of memory while " + stage);
  } catch (const std::filesystem::filesystem_error& error) {
    throw FileError(error.path1().string() + ": " + error.code().message(), error.path1().string());
  } catch (const std::system_error& error) {
    throw Error(error.code().message() + " while " + stage);
  } catch (const std::exception& error) {
    throw Error("an error in chainrule itself while " + stage + " (" + error.what() +
                "); please report it");
  }
}

}  // namespace chainrule::cli

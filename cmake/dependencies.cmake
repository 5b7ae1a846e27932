# What chainrule is built with. A package's own CMake files are used where it brings some; a library that
# is only headers is found without them too, wherever CMake looks (CMAKE_PREFIX_PATH, …). So it does not
# matter who installed the packages.

# header_package(PACKAGE TARGET HEADER DEBIAN): makes sure that TARGET stands for a library of headers.
function(header_package package target header debian)
  find_package(${package} CONFIG QUIET)
  if(TARGET ${target})
    return()
  endif()
  find_path(${package}_INCLUDE_DIR ${header})
  if(NOT ${package}_INCLUDE_DIR)
    message(FATAL_ERROR "chainrule needs ${package}, and neither its CMake package nor <${header}> is found. "
      "Debian's package is ${debian}; a prefix of your own is named by -DCMAKE_PREFIX_PATH=…")
  endif()
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE ${${package}_INCLUDE_DIR})
endfunction()

find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(hwy CONFIG REQUIRED)
# Linked where its package says how, else its headers hold all of it: then the archive does, too, and
# who links the archive needs no {fmt} (chainrule-config.cmake).
find_package(fmt CONFIG QUIET)
set(find_fmt "find_dependency(fmt CONFIG)")
if(NOT TARGET fmt::fmt)
  header_package(fmt fmt::fmt fmt/format.h libfmt-dev)
  target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY=1)
  set(find_fmt "add_library(fmt::fmt INTERFACE IMPORTED)")
endif()
header_package(nlohmann_json nlohmann_json::nlohmann_json nlohmann/json.hpp nlohmann-json3-dev)
header_package(FastFloat FastFloat::fast_float fast_float/fast_float.h libfast-float-dev)
header_package(CLI11 CLI11::CLI11 CLI/CLI.hpp libcli11-dev)
# toml++ is used as headers only, also where its package offers a compiled half.
header_package(tomlplusplus tomlplusplus::tomlplusplus toml++/toml.h libtomlplusplus-dev)
add_library(chainrule_toml INTERFACE)
target_include_directories(chainrule_toml SYSTEM INTERFACE
  $<TARGET_PROPERTY:tomlplusplus::tomlplusplus,INTERFACE_INCLUDE_DIRECTORIES>)
if(CHAINRULE_BUILD_TESTS)
  header_package(doctest doctest::doctest doctest/doctest.h doctest-dev)
endif()

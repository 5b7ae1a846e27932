# What keeps the build short: half of the work on a small file is reading the standard library's headers
# and the graph's, and a quarter is optimisation that nobody notices.

# precompile_headers(TARGET HEADERS...): the headers that most files read, and HEADERS, are read once for
# all files of the target. Every file includes what it uses all the same: with
# CMAKE_DISABLE_PRECOMPILE_HEADERS all of it builds too.
function(precompile_headers target)
  target_precompile_headers(${target} PRIVATE
    <algorithm> <array> <cmath> <cstdint> <fstream> <functional> <map> <memory> <optional> <set> <span>
    <sstream> <string> <string_view> <utility> <vector>
    ${PROJECT_SOURCE_DIR}/src/base/format.h ${PROJECT_SOURCE_DIR}/include/chainrule/error.h
    ${PROJECT_SOURCE_DIR}/include/chainrule/ops.h ${ARGN})
  # GCC 12 forgets that what it has precompiled is the system's, and takes std::string(a) + "b" for a
  # write behind the string; the address sanitizer looks for such writes.
  target_compile_options(${target} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds> $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
endfunction()

# compile_quickly(TARGET): for code whose time to compile matters more than its time to run. -Og takes
# 40 % of the time of -O3.
function(compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-Og>)
endfunction()

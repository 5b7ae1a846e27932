# build_quickly(TARGET HEADERS...): for code whose time to compile matters more than its time to run.
# Half of the work on a small file is reading the standard library's headers and the graph's, so they are
# read once for all files of the target, and HEADERS with them; and -O1 takes half of the time of -O3.
# Every file includes what it uses all the same: with CMAKE_DISABLE_PRECOMPILE_HEADERS all of it builds too.
function(build_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>
    # GCC 12 forgets that what it has precompiled is the system's, and takes std::string(a) + "b" for a
    # write behind the string; the address sanitizer looks for such writes.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds> $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
  target_precompile_headers(${target} PRIVATE
    <algorithm> <array> <cmath> <cstdint> <fstream> <functional> <map> <memory> <optional> <set> <span>
    <sstream> <string> <string_view> <utility> <vector>
    ${PROJECT_SOURCE_DIR}/src/base/format.h ${PROJECT_SOURCE_DIR}/include/chainrule/error.h
    ${PROJECT_SOURCE_DIR}/include/chainrule/ops.h ${ARGN})
endfunction()

# The programs: the command line, the examples and the benchmark. Each folder's files are found, never
# listed, so that adding a program is adding a file.

function(chainrule_program target)
  target_include_directories(${target} PRIVATE src)
  target_link_libraries(${target} PRIVATE
    chainrule chainrule_warnings fmt::fmt nlohmann_json::nlohmann_json)
endfunction()

file(GLOB cli_sources CONFIGURE_DEPENDS src/cli/*.cpp)
if(cli_sources)
  add_executable(chainrule_cli ${cli_sources})
  set_target_properties(chainrule_cli PROPERTIES OUTPUT_NAME chainrule)
  chainrule_program(chainrule_cli)
  precompile_headers(chainrule_cli)
  compile_quickly(chainrule_cli)
  target_link_libraries(chainrule_cli PRIVATE CLI11::CLI11 chainrule_toml)
  set_source_files_properties(src/cli/command_line.cpp PROPERTIES COMPILE_DEFINITIONS
    "CHAINRULE_VERSION=\"${PROJECT_VERSION}\"")
endif()

# An example sees what a user sees: the public headers and nothing else.
file(GLOB example_sources CONFIGURE_DEPENDS examples/*.cpp)
foreach(source IN LISTS example_sources)
  cmake_path(GET source STEM example)
  add_executable(${example} ${source})
  target_link_libraries(${example} PRIVATE chainrule chainrule_warnings)
endforeach()

# The workloads are a library, because a test runs them too.
file(GLOB workload_sources CONFIGURE_DEPENDS bench/*.cpp)
list(FILTER workload_sources EXCLUDE REGEX "/chainrule_bench\\.cpp$")
add_library(chainrule_workloads STATIC EXCLUDE_FROM_ALL ${workload_sources})
chainrule_program(chainrule_workloads)
target_include_directories(chainrule_workloads PUBLIC bench)
if(CHAINRULE_BUILD_BENCH)
  add_executable(chainrule-bench bench/chainrule_bench.cpp)
  chainrule_program(chainrule-bench)
  target_link_libraries(chainrule-bench PRIVATE chainrule_workloads hwy::hwy)
endif()

# Errors beside PyTorch's, for bench/accuracy/accuracy.py.
add_executable(chainrule-accuracy EXCLUDE_FROM_ALL bench/accuracy/accuracy.cpp)
target_link_libraries(chainrule-accuracy PRIVATE chainrule chainrule_warnings)

# Every test that ctest runs: the doctest program, the test of the floor check, and a project that uses
# the installed package. A file tests/**/*_test.cpp is found by itself.

find_package(Python3 COMPONENTS Interpreter REQUIRED)

file(GLOB_RECURSE test_sources CONFIGURE_DEPENDS tests/*_test.cpp tests/support/*.cpp)
add_executable(chainrule_tests tests/main.cpp ${test_sources})
chainrule_program(chainrule_tests)
precompile_headers(chainrule_tests <doctest/doctest.h>)
compile_quickly(chainrule_tests)
# It includes doctest's implementation, which is the same header.
set_source_files_properties(tests/main.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
target_include_directories(chainrule_tests PRIVATE tests)
set_source_files_properties(tests/support/places.cpp PROPERTIES COMPILE_DEFINITIONS
  "CHAINRULE_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\";CHAINRULE_PYTHON=\"${Python3_EXECUTABLE}\"")
target_link_libraries(chainrule_tests PRIVATE
  chainrule_workloads hwy::hwy Threads::Threads doctest::doctest)

# A test for each folder, so that they share the cores.
foreach(source IN LISTS test_sources)
  cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/tests OUTPUT_VARIABLE folder)
  string(REGEX REPLACE "/.*" "" folder ${folder})
  list(APPEND test_folders ${folder})
endforeach()
list(REMOVE_DUPLICATES test_folders)
list(REMOVE_ITEM test_folders support)
foreach(folder IN LISTS test_folders)
  add_test(NAME tests_${folder} COMMAND chainrule_tests "--source-file=*tests/${folder}/*")
endforeach()

# The kernels once more as processors without AVX2 run them, and in plain C++; not in the builds that leave
# instruction sets out.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT CHAINRULE_SIMD_OFF)
  foreach(set sse4 plain)
    add_test(NAME kernels_${set} COMMAND chainrule_tests "--source-file=*tests/backend/*,*tests/ops/*")
    set_tests_properties(kernels_${set} PROPERTIES ENVIRONMENT CHAINRULE_SIMD=${set})
  endforeach()
endif()

add_test(NAME check_layers
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/tools/check_layers_test.py)

add_test(NAME consumer COMMAND ${CMAKE_COMMAND}
  -D BUILD_DIR=${PROJECT_BINARY_DIR}
  -D SOURCE_DIR=${PROJECT_SOURCE_DIR}/tests/consumer
  -D GENERATOR=${CMAKE_GENERATOR}
  -D CXX_COMPILER=${CMAKE_CXX_COMPILER}
  -D CXX_FLAGS=${CMAKE_CXX_FLAGS}
  -P ${PROJECT_SOURCE_DIR}/tests/consumer/run.cmake)

# Climbing includes fail the build, not only the tests.
add_custom_target(check_floors ALL
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_layers --quiet
  COMMENT "Checking that no include climbs")

# The notebook's digits and its derivation, character for character.
add_test(NAME notebook COMMAND sh -c
  "$<TARGET_FILE:notebook> | diff - ${PROJECT_SOURCE_DIR}/tests/golden/notebook.txt")

# The command line, driven as a person would.
add_test(NAME cli COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/cli/cli_test.py
  $<TARGET_FILE:chainrule_cli>)

# The same with data that lie, with files that cannot be written, with numbers that are none.
add_test(NAME cli_data COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/cli/data_test.py
  $<TARGET_FILE:chainrule_cli>)

add_test(NAME cli_files COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/cli/files_test.py
  $<TARGET_FILE:chainrule_cli>)

add_test(NAME cli_options COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/cli/options_test.py
  $<TARGET_FILE:chainrule_cli>)

# The page that explain writes, in a browser where there is one.
add_executable(make_pages tests/explain/make_pages.cpp)
chainrule_program(make_pages)
add_test(NAME explain_page
  COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/explain/page_test.py $<TARGET_FILE:make_pages>)
set_tests_properties(explain_page PROPERTIES SKIP_RETURN_CODE 77)

# check and explain on networks.
add_test(NAME network COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/cli/network_test.py
  $<TARGET_FILE:chainrule_cli>)

include(${CMAKE_CURRENT_LIST_DIR}/tool_tests.cmake)

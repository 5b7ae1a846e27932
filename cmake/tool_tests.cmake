# The tests of the scripts in tools/.

foreach(tool IN ITEMS run_tests changed_sources build)
  add_test(NAME ${tool}
    COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/tools/${tool}_test.py)
endforeach()

add_test(NAME readme COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/tools/readme_test.py
  ${CMAKE_CXX_COMPILER} ${PROJECT_SOURCE_DIR}/include)

# Scripts about the program, which they are given.
foreach(script IN ITEMS manual demo)
  add_test(NAME ${script} COMMAND Python3::Interpreter
    ${PROJECT_SOURCE_DIR}/tests/tools/${script}_test.py $<TARGET_FILE:chainrule_cli>)
endforeach()

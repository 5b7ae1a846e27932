# The manual page: the program's own --help, laid out. Without Python, or when the program does not run
# on the machine that builds it, there is none.
find_package(Python3 COMPONENTS Interpreter)
if(NOT Python3_FOUND OR (CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR))
  return()
endif()

set(manual_page ${PROJECT_BINARY_DIR}/chainrule.1)
set(make_manual ${PROJECT_SOURCE_DIR}/tools/make_manual.py)
add_custom_command(OUTPUT ${manual_page} DEPENDS chainrule_cli ${make_manual}
  COMMAND Python3::Interpreter ${make_manual} ${PROJECT_VERSION} ${manual_page}
    ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:chainrule_cli>
  COMMENT "Writing the manual page")
add_custom_target(chainrule_manual ALL DEPENDS ${manual_page})
# Whoever builds the program alone may install it alone.
install(FILES ${manual_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)

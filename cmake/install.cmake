# cmake --install: the archive, the public headers, the program, and a package for find_package.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/chainrule)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/chainrule-config-version.cmake
  COMPATIBILITY SameMinorVersion)

install(TARGETS chainrule EXPORT chainrule-targets)
install(DIRECTORY include/chainrule DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT chainrule-targets NAMESPACE chainrule:: DESTINATION ${package_dir})
configure_file(cmake/chainrule-config.cmake.in chainrule-config.cmake @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/chainrule-config.cmake
  ${PROJECT_BINARY_DIR}/chainrule-config-version.cmake DESTINATION ${package_dir})
if(TARGET chainrule_cli)
  install(TARGETS chainrule_cli)
endif()

# cpack: a Debian package of what cmake --install installs (tools/make_deb.sh makes it), and elsewhere
# an archive.
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
mark_as_advanced(DPKG_SHLIBDEPS)
set(CPACK_GENERATOR TGZ)
if(DPKG_SHLIBDEPS)
  set(CPACK_GENERATOR DEB)
endif()

set(CPACK_PACKAGE_CONTACT "The authors of chainrule")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Trains neural networks by backpropagation and shows its working")
string(CONCAT CPACK_PACKAGE_DESCRIPTION
  "The program chainrule trains networks on tables, images and texts, derives\n"
  "the backward pass of a forward pass written in NumPy, and checks one written\n"
  "by hand. The library does the same from C++20.")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
# What is built is packed; packing builds nothing, the tests least of all.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libhwy-dev, libfmt-dev, zlib1g-dev")  # to link programs with the library
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libdnnl2 | libdnnl3.6, g++, cmake")
include(CPack)

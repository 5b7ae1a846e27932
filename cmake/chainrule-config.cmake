# find_package(chainrule) → chainrule::chainrule, a static library and what it links.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(hwy CONFIG)
find_dependency(ZLIB)
include(${CMAKE_CURRENT_LIST_DIR}/chainrule-targets.cmake)

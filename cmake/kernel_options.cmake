# Options of the sources that are compiled once for every instruction set. The preset clang keeps its
# sanitizers small there: inlined into such loops they made one file take 95 s, and take 15 s now. What it
# leaves out there are the checks of each pointer before its use, which the address sanitizer checks too.
set(CHAINRULE_KERNEL_OPTIONS "" CACHE STRING "Further options of what is compiled for every instruction set")
if(CHAINRULE_KERNEL_OPTIONS)
  file(GLOB_RECURSE kernel_sources CONFIGURE_DEPENDS src/*.cpp)
  foreach(source IN LISTS kernel_sources)
    file(STRINGS ${source} kernels REGEX "hwy/foreach_target.h")
    if(kernels)
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${CHAINRULE_KERNEL_OPTIONS})
    endif()
  endforeach()
endif()

# embed_text(SOURCE NAME FILES...): writes the C++ file SOURCE with one constant, a string_view called
# NAME in namespace chainrule, that holds the FILES one after another. A change of a file is noticed by
# the next build.
function(embed_text source name)
  set(text "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} content)
    # ISO C++ promises literals of 65536 bytes; a raw one for each file keeps well below.
    string(APPEND text "    R\"~embedded~(${content})~embedded~\"\n")
  endforeach()
  set(code "// Made by cmake/embed.cmake.\n#include <string_view>\n\nnamespace chainrule {\n")
  string(APPEND code "extern const std::string_view ${name};\n")
  string(APPEND code "const std::string_view ${name} =\n${text}    \"\";\n}  // namespace chainrule\n")
  set(old "")
  if(EXISTS ${source})
    file(READ ${source} old)
  endif()
  if(NOT old STREQUAL code)
    file(WRITE ${source} "${code}")
  endif()
endfunction()

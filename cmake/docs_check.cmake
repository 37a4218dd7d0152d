# cmake -DLOG= -P docs_check.cmake: fails on Doxygen's warnings, except where another comment speaks for
# the member: its struct's for a field, its class's for a constructor or an operator, the template's for
# a specialisation, and the overridden function's for an override.
file(STRINGS "${LOG}" lines)
set(count 0)
foreach(line IN LISTS lines)
  if(NOT line MATCHES "warning:|error:" OR
      line MATCHES "Member [^ ]+ \\(variable\\) of (struct|class) " OR
      line MATCHES "Member operator.* of (struct|class) " OR
      line MATCHES "Member [A-Za-z_]+< " OR
      line MATCHES " override \\(function\\) of class ")
    continue()
  endif()
  string(REGEX MATCH "Member ([A-Za-z]+)\\(.* of (struct|class) ([A-Za-z0-9_]+::)*([A-Za-z0-9_]+) is" constructor "${line}")
  if(NOT constructor OR NOT CMAKE_MATCH_1 STREQUAL CMAKE_MATCH_4)
    message("${line}")
    math(EXPR count "${count} + 1")
  endif()
endforeach()
if(count GREATER 0)
  message(FATAL_ERROR "${count} public names lack documentation, or their comments are wrong")
endif()

# The target docs: the API reference of the public headers, as build/.../docs/html/index.html. A public
# name without a comment is an error.
find_package(Doxygen QUIET)
if(NOT DOXYGEN_FOUND)
  add_custom_target(docs
    COMMAND "${CMAKE_COMMAND}" -E echo "docs needs Doxygen (Debian: doxygen); configure again after installing it"
    COMMAND "${CMAKE_COMMAND}" -E false)
  return()
endif()

set(DOXYGEN_PROJECT_BRIEF "${PROJECT_DESCRIPTION}")
set(DOXYGEN_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/docs")
set(DOXYGEN_STRIP_FROM_PATH "${PROJECT_SOURCE_DIR}/include")
set(DOXYGEN_STRIP_FROM_INC_PATH "${PROJECT_SOURCE_DIR}/include")
set(DOXYGEN_EXCLUDE_PATTERNS "*/detail/*")
set(DOXYGEN_EXCLUDE_SYMBOLS "*::detail" "*::detail::*")
set(DOXYGEN_EXTENSION_MAPPING "cuh=C++")
set(DOXYGEN_FILE_PATTERNS "*.hpp" "*.cuh")
set(DOXYGEN_JAVADOC_AUTOBRIEF YES)
set(DOXYGEN_BUILTIN_STL_SUPPORT YES)
set(DOXYGEN_MACRO_EXPANSION YES)
set(DOXYGEN_EXPAND_ONLY_PREDEF YES)
set(DOXYGEN_PREDEFINED "SP2DPO_HD=")
set(DOXYGEN_GENERATE_LATEX NO)
set(DOXYGEN_QUIET YES)
set(DOXYGEN_WARN_IF_UNDOCUMENTED YES)
set(DOXYGEN_WARN_IF_INCOMPLETE_PARAMS NO)
set(DOXYGEN_WARN_NO_PARAMDOC NO)
set(DOXYGEN_WARN_LOGFILE "${PROJECT_BINARY_DIR}/docs/warnings.log")
file(MAKE_DIRECTORY "${DOXYGEN_OUTPUT_DIRECTORY}")
doxygen_add_docs(docs_pages "${PROJECT_SOURCE_DIR}/include/sp2dpo"
  COMMENT "The API reference: ${PROJECT_BINARY_DIR}/docs/html/index.html")
add_custom_target(docs
  COMMAND "${CMAKE_COMMAND}" "-DLOG=${DOXYGEN_WARN_LOGFILE}"
    -P "${PROJECT_SOURCE_DIR}/cmake/docs_check.cmake")
add_dependencies(docs docs_pages)

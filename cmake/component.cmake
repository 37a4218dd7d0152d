# sp2dpo_component(<name> HEADERS <header>...)
# Gives the target sp2dpo_<name> its alias sp2dpo::<name>, its public headers as a file set, C++20, and
# its own export set.
function(sp2dpo_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS")
  set(target sp2dpo_${name})
  get_target_property(type ${target} TYPE)
  set(scope PUBLIC)
  if(type STREQUAL "INTERFACE_LIBRARY")
    set(scope INTERFACE)
  endif()

  add_library(sp2dpo::${name} ALIAS ${target})
  list(TRANSFORM arg_HEADERS PREPEND "${PROJECT_SOURCE_DIR}/include/sp2dpo/")
  target_sources(${target} ${scope}
    FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${arg_HEADERS})
  target_compile_features(${target} ${scope} cxx_std_20)
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    VERIFY_INTERFACE_HEADER_SETS ${PROJECT_IS_TOP_LEVEL}
    CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    VERSION "${PROJECT_VERSION}"
    SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}"
    INSTALL_RPATH "$ORIGIN")
  set_property(GLOBAL APPEND PROPERTY SP2DPO_COMPONENTS ${name})
  if(SP2DPO_INSTALL)
    install(TARGETS ${target} EXPORT sp2dpo-${name}
      FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
    install(EXPORT sp2dpo-${name} NAMESPACE sp2dpo:: FILE sp2dpo-${name}-targets.cmake
      DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/sp2dpo")
  endif()
endfunction()

# Makes sp2dpo::sp2dpo, which links every component of this build.
function(sp2dpo_everything)
  get_property(components GLOBAL PROPERTY SP2DPO_COMPONENTS)
  message(STATUS "sp2dpo: components ${components}")
  add_library(sp2dpo_sp2dpo INTERFACE)
  add_library(sp2dpo::sp2dpo ALIAS sp2dpo_sp2dpo)
  foreach(component IN LISTS components)
    target_link_libraries(sp2dpo_sp2dpo INTERFACE sp2dpo::${component})
  endforeach()
endfunction()

# Links the compiled fmt instead of sp2dpo::core's header-only one, which triples the compile time of a
# file. Only for targets that see no libtorch.
function(sp2dpo_compiled_fmt target)
  target_link_libraries(${target} PRIVATE fmt::fmt)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-UFMT_HEADER_ONLY>)
endfunction()

# Compiles a Release with -O1, for a target whose speed does not matter.
function(sp2dpo_light_optimisation target)
  target_compile_options(${target} PRIVATE
    "$<$<AND:$<CONFIG:Release>,$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>>:-O1>")
endfunction()

# With SP2DPO_UNITY, compiles the target's sources as one file.
function(sp2dpo_unity target)
  if(SP2DPO_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  endif()
endfunction()

# With SP2DPO_UNITY, precompiles headers for a target whose files cannot be compiled as one, because
# they give different things the same name.
function(sp2dpo_precompile target)
  if(SP2DPO_UNITY)
    list(TRANSFORM ARGN REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>")
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

# Warnings for the project's own sources; never part of an interface.
function(sp2dpo_warnings target)
  # gcc 12 sees overlaps in every "text" + std::to_string(i) (its bug 105651).
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wconversion;-Wno-sign-conversion>
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>)
endfunction()

# sp2dpo_add_subdirectory(<folder> <room>...): adds the folder if this build has all of the rooms.
function(sp2dpo_add_subdirectory folder)
  foreach(room IN LISTS ARGN)
    if(NOT TARGET sp2dpo::${room})
      return()
    endif()
  endforeach()
  add_subdirectory(${folder})
endfunction()

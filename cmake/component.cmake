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
  sp2dpo_export(${name} FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
endfunction()

# sp2dpo_export(<name> <artifact of install(TARGETS)>...)
# Puts sp2dpo_<name> into an export set, for installation and for use from the build tree. Without
# SP2DPO_INSTALL too, because a project that exports a target of its own can only refer to exported
# targets; the files are then left out of the installation.
function(sp2dpo_export name)
  if(NOT SP2DPO_INSTALL)
    set(left_out EXCLUDE_FROM_ALL)
  endif()
  install(TARGETS sp2dpo_${name} EXPORT sp2dpo-${name} ${left_out} ${ARGN} ${left_out})
  install(EXPORT sp2dpo-${name} NAMESPACE sp2dpo:: FILE sp2dpo-${name}-targets.cmake
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/sp2dpo" ${left_out})
  export(EXPORT sp2dpo-${name} NAMESPACE sp2dpo::
    FILE "${PROJECT_BINARY_DIR}/sp2dpo-${name}-targets.cmake")
endfunction()

# Makes sp2dpo::sp2dpo, which links every component of this build.
function(sp2dpo_everything)
  get_property(components GLOBAL PROPERTY SP2DPO_COMPONENTS)
  message(STATUS "sp2dpo: components ${components}")
  add_library(sp2dpo_sp2dpo INTERFACE)
  add_library(sp2dpo::sp2dpo ALIAS sp2dpo_sp2dpo)
  get_property(not_installed GLOBAL PROPERTY SP2DPO_NOT_INSTALLED)
  foreach(component IN LISTS components)
    if(component IN_LIST not_installed)
      target_link_libraries(sp2dpo_sp2dpo INTERFACE $<BUILD_INTERFACE:sp2dpo::${component}>)
    else()
      target_link_libraries(sp2dpo_sp2dpo INTERFACE sp2dpo::${component})
    endif()
  endforeach()
  set_target_properties(sp2dpo_sp2dpo PROPERTIES EXPORT_NAME sp2dpo)
  sp2dpo_export(sp2dpo)
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

# Lets __FILE__, which libtorch's checks put into their messages, start at the repository or the build
# instead of the root of this machine.
function(sp2dpo_relative_file_names target)
  foreach(folder IN ITEMS "${PROJECT_BINARY_DIR}" "${PROJECT_SOURCE_DIR}")
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-fmacro-prefix-map=${folder}/=>")
  endforeach()
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

# The package of find_package(sp2dpo), in the installation and in the build tree.
include(CMakePackageConfigHelpers)
get_property(SP2DPO_COMPONENTS GLOBAL PROPERTY SP2DPO_COMPONENTS)
get_property(SP2DPO_NOT_INSTALLED GLOBAL PROPERTY SP2DPO_NOT_INSTALLED)
list(REMOVE_ITEM SP2DPO_COMPONENTS "" ${SP2DPO_NOT_INSTALLED})
get_property(SP2DPO_TORCH_VERSION GLOBAL PROPERTY SP2DPO_TORCH_VERSION)
set(SP2DPO_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/sp2dpo")

# sp2dpo::torch loads the shared libraries that it links, even private ones.
set(SP2DPO_TORCH_ROOMS)
if(TARGET sp2dpo_torch)
  get_target_property(libraries sp2dpo_torch LINK_LIBRARIES)
  foreach(component IN LISTS SP2DPO_COMPONENTS)
    get_target_property(type sp2dpo_${component} TYPE)
    if("sp2dpo_${component}" IN_LIST libraries AND type STREQUAL "SHARED_LIBRARY")
      list(APPEND SP2DPO_TORCH_ROOMS ${component})
    endif()
  endforeach()
endif()

configure_package_config_file(cmake/sp2dpo-config.cmake.in sp2dpo-config.cmake
  INSTALL_DESTINATION "${SP2DPO_PACKAGE_DIR}")
write_basic_package_version_file(sp2dpo-config-version.cmake COMPATIBILITY SameMinorVersion)
# Beside the build's own targets, for projects that use the build tree.
configure_file(cmake/sp2dpo-find-torch.cmake sp2dpo-find-torch.cmake COPYONLY)
if(SP2DPO_INSTALL)
  install(FILES
    "${PROJECT_BINARY_DIR}/sp2dpo-config.cmake" "${PROJECT_BINARY_DIR}/sp2dpo-config-version.cmake"
    cmake/sp2dpo-find-torch.cmake
    DESTINATION "${SP2DPO_PACKAGE_DIR}")
endif()
if(SP2DPO_INSTALL AND PROJECT_IS_TOP_LEVEL)
  # Beside each other as in the repository, so that the links between pages hold.
  install(FILES LICENSE README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
  install(DIRECTORY docs DESTINATION "${CMAKE_INSTALL_DOCDIR}")
endif()

# Used by the build and by the installed package.

# sp2dpo_find_and_keep(<package> <argument of find_package>...)
# find_package without its side effects on variables of the calling directory. Debian's libtorch puts
# glog's folder into CMAKE_MODULE_PATH; one with CUDA turns all architectures off and sets its own
# flags and standard.
macro(sp2dpo_find_and_keep)
  set(_sp2dpo_kept CMAKE_MODULE_PATH CMAKE_CUDA_FLAGS CMAKE_CUDA_ARCHITECTURES CMAKE_CUDA_STANDARD
    CMAKE_CUDA_STANDARD_REQUIRED TORCH_CUDA_ARCH_LIST)
  foreach(_sp2dpo_name IN LISTS _sp2dpo_kept)
    unset(_sp2dpo_kept_${_sp2dpo_name})
    if(DEFINED ${_sp2dpo_name})
      set(_sp2dpo_kept_${_sp2dpo_name} "${${_sp2dpo_name}}")
    endif()
  endforeach()
  # Without a list of architectures, libtorch's package runs a GPU program at configure time.
  if(NOT DEFINED TORCH_CUDA_ARCH_LIST AND NOT DEFINED ENV{TORCH_CUDA_ARCH_LIST})
    set(TORCH_CUDA_ARCH_LIST 9.0)
  endif()
  find_package(${ARGV})
  foreach(_sp2dpo_name IN LISTS _sp2dpo_kept)
    if(DEFINED _sp2dpo_kept_${_sp2dpo_name})
      set(${_sp2dpo_name} "${_sp2dpo_kept_${_sp2dpo_name}}")
    else()
      unset(${_sp2dpo_name})
    endif()
  endforeach()
endmacro()

# sp2dpo_find_torch(): finds libtorch without side effects on the project.
macro(sp2dpo_find_torch)
  _sp2dpo_find_torch_directly()
  if(NOT Torch_FOUND)
    sp2dpo_find_and_keep(Torch QUIET)
  endif()
endmacro()

# Without a CUDA toolkit, the package of a libtorch with CUDA refuses even users of its CPU half. In
# that case this macro defines the target `torch` from the libraries and headers themselves.
macro(_sp2dpo_find_torch_directly)
  sp2dpo_find_and_keep(CUDAToolkit QUIET)
  get_property(_sp2dpo_version GLOBAL PROPERTY _SP2DPO_DIRECT_TORCH_VERSION)
  if(NOT CUDAToolkit_NVCC_EXECUTABLE AND NOT TARGET torch)
    set(_sp2dpo_hints)
    if(Torch_DIR)
      set(_sp2dpo_hints HINTS "${Torch_DIR}/../../..")
    endif()
    find_path(SP2DPO_TORCH_ROOT share/cmake/Torch/TorchConfig.cmake ${_sp2dpo_hints}
      DOC "Root of a libtorch with CUDA, for machines without a CUDA toolkit")
    mark_as_advanced(SP2DPO_TORCH_ROOT)
    if(EXISTS "${SP2DPO_TORCH_ROOT}/lib/libtorch_cuda.so")
      file(READ "${SP2DPO_TORCH_ROOT}/share/cmake/Torch/TorchConfigVersion.cmake" _sp2dpo_version)
      string(REGEX MATCH "PACKAGE_VERSION \"([0-9.]+)" _sp2dpo_version "${_sp2dpo_version}")
      set(_sp2dpo_version "${CMAKE_MATCH_1}")
      set_property(GLOBAL PROPERTY _SP2DPO_DIRECT_TORCH_VERSION "${_sp2dpo_version}")
      add_library(torch SHARED IMPORTED GLOBAL)
      set_target_properties(torch PROPERTIES
        IMPORTED_LOCATION "${SP2DPO_TORCH_ROOT}/lib/libtorch.so"
        INTERFACE_INCLUDE_DIRECTORIES
          "${SP2DPO_TORCH_ROOT}/include;${SP2DPO_TORCH_ROOT}/include/torch/csrc/api/include"
        INTERFACE_LINK_LIBRARIES
          "${SP2DPO_TORCH_ROOT}/lib/libtorch_cpu.so;${SP2DPO_TORCH_ROOT}/lib/libc10.so")
    endif()
  endif()
  if(_sp2dpo_version)
    set(Torch_VERSION "${_sp2dpo_version}")
    set(Torch_FOUND TRUE)
  endif()
endmacro()

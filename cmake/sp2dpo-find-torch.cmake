# sp2dpo_find_torch(): find_package(Torch), without what it does to a project beside it. Used by the
# build and by the installed package.
macro(sp2dpo_find_torch)
  # A libtorch with CUDA turns CMAKE_CUDA_ARCHITECTURES off and fills CMAKE_CUDA_FLAGS.
  set(_sp2dpo_cuda_flags "${CMAKE_CUDA_FLAGS}")
  set(_sp2dpo_cuda_architectures "${CMAKE_CUDA_ARCHITECTURES}")
  # Without a list of architectures it runs a GPU program at configure time.
  if(NOT DEFINED TORCH_CUDA_ARCH_LIST AND NOT DEFINED ENV{TORCH_CUDA_ARCH_LIST})
    set(TORCH_CUDA_ARCH_LIST 9.0)
  endif()
  _sp2dpo_find_torch_directly()
  if(NOT Torch_FOUND)
    find_package(Torch QUIET)
  endif()
  set(CMAKE_CUDA_FLAGS "${_sp2dpo_cuda_flags}")
  if(_sp2dpo_cuda_architectures)
    set(CMAKE_CUDA_ARCHITECTURES "${_sp2dpo_cuda_architectures}")
  else()
    unset(CMAKE_CUDA_ARCHITECTURES)
  endif()
endmacro()

# A libtorch with CUDA refuses even users of its CPU half where there is no CUDA toolkit. Where that
# is so, the target `torch` is made here, of the libraries and headers themselves.
macro(_sp2dpo_find_torch_directly)
  find_package(CUDAToolkit QUIET)
  if(NOT CUDAToolkit_FOUND AND NOT TARGET torch)
    find_path(SP2DPO_TORCH_ROOT share/cmake/Torch/TorchConfig.cmake
      HINTS "${Torch_DIR}/../../.." DOC "Root of a libtorch")
    mark_as_advanced(SP2DPO_TORCH_ROOT)
    if(EXISTS "${SP2DPO_TORCH_ROOT}/lib/libtorch_cuda.so")
      file(READ "${SP2DPO_TORCH_ROOT}/share/cmake/Torch/TorchConfigVersion.cmake" _sp2dpo_text)
      string(REGEX MATCH "PACKAGE_VERSION \"([0-9.]+)" _sp2dpo_text "${_sp2dpo_text}")
      set(Torch_VERSION "${CMAKE_MATCH_1}")
      add_library(torch SHARED IMPORTED GLOBAL)
      set_target_properties(torch PROPERTIES
        IMPORTED_LOCATION "${SP2DPO_TORCH_ROOT}/lib/libtorch.so"
        INTERFACE_INCLUDE_DIRECTORIES
          "${SP2DPO_TORCH_ROOT}/include;${SP2DPO_TORCH_ROOT}/include/torch/csrc/api/include"
        INTERFACE_LINK_LIBRARIES
          "${SP2DPO_TORCH_ROOT}/lib/libtorch_cpu.so;${SP2DPO_TORCH_ROOT}/lib/libc10.so")
      set(Torch_FOUND TRUE)
    endif()
  endif()
endmacro()

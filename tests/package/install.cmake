# cmake -DBUILD= -DSOURCE= -DCONFIG= -DROOMS= -DARROW= -DPREFIX= -DMOVED= -P install.cmake
# Installs, checks that the package is complete and relocatable, and moves it.
file(REMOVE_RECURSE "${PREFIX}" "${MOVED}")
execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}" --config "${CONFIG}"
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

foreach(room IN ITEMS . detail ${ROOMS})
  file(GLOB headers RELATIVE "${SOURCE}" "${SOURCE}/include/sp2dpo/${room}/*.hpp"
    "${SOURCE}/include/sp2dpo/${room}/*.cuh")
  foreach(header IN LISTS headers)
    if(NOT EXISTS "${PREFIX}/${header}")
      message(SEND_ERROR "${header} belongs to no component: it was not installed")
    endif()
  endforeach()
endforeach()

file(GLOB_RECURSE scripts "${PREFIX}/*.cmake")
if(NOT scripts)
  message(FATAL_ERROR "nothing of a package was installed")
endif()
foreach(script IN LISTS scripts)
  file(STRINGS "${script}" lines REGEX "(^|[\"; =(])/[A-Za-z]")
  foreach(line IN LISTS lines)
    message(SEND_ERROR "${script} holds an absolute path: ${line}")
  endforeach()
endforeach()

# No file holds a path of the sources or the build, in a message or as a run path, nor a run path to
# another library but to ARROW, a Python's pyarrow, which libsp2dpo_parquet.so loads from there. Debug
# information may name sources.
foreach(folder IN ITEMS SOURCE BUILD)
  string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" ${folder}_regex "${${folder}}")
endforeach()
set(paths "${SOURCE_regex}|${BUILD_regex}")
if(CONFIG MATCHES "Deb")
  set(paths "^${BUILD_regex}")
endif()
file(GLOB_RECURSE files "${PREFIX}/*")
foreach(file IN LISTS files)
  file(STRINGS "${file}" lines REGEX "${paths}|^/.*/torch/lib")
  if(ARROW)
    list(REMOVE_ITEM lines "$ORIGIN:${ARROW}")
  endif()
  if(lines)
    message(SEND_ERROR "${file} holds a path of this machine: ${lines}")
  endif()
endforeach()
file(RENAME "${PREFIX}" "${MOVED}")

if(EXISTS "${MOVED}/bin/sp2dpo")
  execute_process(COMMAND "${MOVED}/bin/sp2dpo" --version COMMAND_ERROR_IS_FATAL ANY)
  foreach(text IN ITEMS man/man1/sp2dpo-schedule.1 bash-completion/completions/sp2dpo
      zsh/site-functions/_sp2dpo)
    if(NOT EXISTS "${MOVED}/share/${text}")
      message(SEND_ERROR "share/${text} was not installed")
    endif()
  endforeach()
endif()

# CMake package of edgec: edgec_add_model() compiles a model file to a library when the project is built.
#
#   find_package(edgec REQUIRED)      # with -Dedgec_DIR=$(edgec --cmake-dir)
#   edgec_add_model(detector detector.onnx TARGET cortex-m4 OPTIONS --quantize bits=8 --calibration frames.npz)
#   target_link_libraries(app PRIVATE detector)
#
# edgec_add_model(<target> <model> TARGET <edgec target> [OPTIONS <option of edgec build>...] [DEPENDS <file>...]
#                 [CPU <name for -mcpu>])
#
# makes the static library <target> with the function <target>_run, declared in <target>.h. `edgec build` runs again when
# the model, a file that OPTIONS name, a file of DEPENDS or edgec itself changed, and at no other time. Paths are relative
# to the current source folder. The target property EDGEC_ARTEFACT is the folder of the artefact, with report and golden
# frames (sim/<target>_golden.h), which users of the library can include as "<target>_golden.h" through the interface
# library <target>_golden.
cmake_minimum_required(VERSION 3.15)

set(_edgec_files ${CMAKE_CURRENT_LIST_DIR})
if(NOT EDGEC_EXECUTABLE)
  # an environment of Python has its programs beside lib/python3.x/site-packages/edgec/cmake
  find_program(EDGEC_EXECUTABLE edgec HINTS "${CMAKE_CURRENT_LIST_DIR}/../../../../../bin"
    "${CMAKE_CURRENT_LIST_DIR}/../../../../Scripts" DOC "The edgec command")
endif()
if(NOT EDGEC_EXECUTABLE)
  set(edgec_FOUND FALSE)
  set(edgec_NOT_FOUND_MESSAGE "The command edgec was not found: put it on PATH or set EDGEC_EXECUTABLE.")
  return()
endif()

function(edgec_add_model target model)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "TARGET;CPU" "OPTIONS;DEPENDS")
  if(NOT target MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "edgec_add_model: ${target} must be a lower-case C identifier: it is the prefix of all symbols.")
  endif()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "edgec_add_model(${target}): unknown arguments ${arg_UNPARSED_ARGUMENTS}.")
  endif()
  if(NOT arg_TARGET)
    message(FATAL_ERROR "edgec_add_model(${target}): TARGET is missing; `edgec targets` lists them.")
  endif()
  get_filename_component(model "${model}" ABSOLUTE)
  if(NOT EXISTS "${model}")
    message(FATAL_ERROR "edgec_add_model(${target}): there is no file ${model}.")
  endif()

  # what else the artefact is made of: files that options name, arrays beside the model, the edgec that makes it
  set(inputs "${model}" "${_edgec_files}/edgecConfig.cmake" "${_edgec_files}/edgecBuild.cmake")
  if(IS_ABSOLUTE "${EDGEC_EXECUTABLE}")
    list(APPEND inputs "${EDGEC_EXECUTABLE}")
  endif()
  get_filename_component(folder "${model}" DIRECTORY)
  get_filename_component(stem "${model}" NAME_WE)
  foreach(name IN LISTS arg_OPTIONS arg_DEPENDS arg_TARGET)
    string(REGEX REPLACE "^--[a-z-]+=" "" name "${name}")
    get_filename_component(file "${name}" ABSOLUTE)
    if(EXISTS "${file}" AND NOT IS_DIRECTORY "${file}")
      list(APPEND inputs "${file}")
    endif()
  endforeach()
  foreach(file IN ITEMS "${model}.data" "${folder}/${stem}.safetensors" "${folder}/${stem}.data")
    if(EXISTS "${file}")
      list(APPEND inputs "${file}")
    endif()
  endforeach()
  foreach(file IN LISTS arg_DEPENDS)
    get_filename_component(file "${file}" ABSOLUTE)
    list(APPEND inputs "${file}") # also one that another rule makes
  endforeach()
  list(REMOVE_DUPLICATES inputs)

  set(out "${CMAKE_CURRENT_BINARY_DIR}/edgec/${target}")
  set(sources "${out}/src/${target}.c" "${out}/src/${target}_constants.c")
  set(headers "${out}/include/${target}.h" "${out}/src/${target}_constants.h" "${out}/sim/${target}_golden.h")
  add_custom_command(
    OUTPUT ${sources} ${headers} "${out}/manifest.json"
    COMMAND "${CMAKE_COMMAND}" "-DNAME=${target}" "-DOUT=${out}" -P "${_edgec_files}/edgecBuild.cmake" --
      "${EDGEC_EXECUTABLE}" build "${model}" -t "${arg_TARGET}" -o "${out}" --name "${target}" --quiet ${arg_OPTIONS}
    DEPENDS ${inputs}
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    COMMENT "edgec: ${target} for ${arg_TARGET}"
    VERBATIM)

  add_library(${target} STATIC ${sources} ${headers})
  set_target_properties(${target} PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON POSITION_INDEPENDENT_CODE ON
    EDGEC_ARTEFACT "${out}")
  target_include_directories(${target} PUBLIC "${out}/include")
  if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
    # products and sums are rounded one by one; tensors of several types share the arena
    target_compile_options(${target} PRIVATE -ffp-contract=off -fno-strict-aliasing)
    if(NOT arg_CPU AND arg_TARGET MATCHES "^cortex-[ax]" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
      set(arg_CPU "${arg_TARGET}")
    endif()
    if(arg_CPU)
      target_compile_options(${target} PRIVATE "-mcpu=${arg_CPU}")
    endif()
  endif()
  if(UNIX OR CMAKE_SYSTEM_NAME STREQUAL "Generic")
    target_link_libraries(${target} PRIVATE m)
  endif()
  add_library(${target}_golden INTERFACE)
  target_include_directories(${target}_golden INTERFACE "${out}/sim")
  target_link_libraries(${target}_golden INTERFACE ${target})
endfunction()

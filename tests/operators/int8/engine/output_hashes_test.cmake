# Runs int8_output_hashes (PROGRAM) under three caps of the instruction set, which must
# compute the same, and once more with the first: what it prints is a function of its
# arguments.
foreach(cap IN ITEMS scalar avx2 amx scalar)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env CAFFE2_QUANTIZATION_MAX_ISA=${cap} ${PROGRAM} 1 ${CASES}
    OUTPUT_VARIABLE lines
    COMMAND_ERROR_IS_FATAL ANY)
  if(NOT DEFINED expected)
    set(expected "${lines}")
  endif()
  if(NOT lines STREQUAL expected)
    message(FATAL_ERROR "${cap} prints\n${lines}\nand scalar\n${expected}")
  endif()
endforeach()
if(NOT expected MATCHES "ENGINE_ONEDNN")
  message(FATAL_ERROR "no operator of the engine was found")
endif()

# Runs whole_net_hashes (PROGRAM) under each cap of the instruction set: they must
# compute the same codes, with one thread and with two.
foreach(cap IN ITEMS scalar avx2 avx512 amx)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env CAFFE2_QUANTIZATION_MAX_ISA=${cap} OMP_NUM_THREADS=2
      ${PROGRAM} ${IMAGE_SIZE}
    OUTPUT_VARIABLE lines
    COMMAND_ERROR_IS_FATAL ANY)
  if(NOT DEFINED expected)
    set(expected "${lines}")
  endif()
  if(NOT lines STREQUAL expected)
    message(FATAL_ERROR "${cap} prints\n${lines}\nand scalar\n${expected}")
  endif()
endforeach()
if(NOT expected MATCHES "ResNet-50: [0-9a-f]+\n")
  message(FATAL_ERROR "no net was computed:\n${expected}")
endif()

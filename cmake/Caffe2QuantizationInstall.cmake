# cmake --install: the plugin, its public headers, the command line, the Python
# front, and a package file for find_package(caffe2_quantization).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/caffe2_quantization)

install(TARGETS caffe2_quantization EXPORT caffe2_quantization_targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS caffe2-quantize RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT caffe2_quantization_targets
  NAMESPACE caffe2_quantization::
  DESTINATION ${package_dir})

# The mathematics, for programs that compute with it: caffe2_quantization::quantization,
# and ::base below it, archives that need neither the plugin nor the host.
install(TARGETS caffe2_quantization_base caffe2_quantization_quantization
  EXPORT caffe2_quantization_math_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT caffe2_quantization_math_targets
  NAMESPACE caffe2_quantization::
  DESTINATION ${package_dir})

# The public headers and what they include, in the folders that they name.
foreach(header IN ITEMS
    base/export.h
    base/status.h
    base/value_counts.h
    observers/attachment.h
    observers/operator_run.h
    observers/output_min_max_observer.h
    observers/record_callback.h
    operators/byte_weight_dequant_op.h
    operators/byte_weight_parameters.h
    plugin/plugin.h
    profiles/min_max_file.h
    profiles/operator_path.h
    profiles/output_info.h
    profiles/profile.h
    quantization/channel_layout.h
    quantization/choose.h
    quantization/choose_tensor.h
    quantization/histogram.h
    quantization/kernels/byte_weight.h
    quantization/kernels/store_hint.h
    quantization/quantization_error.h
    quantization/quantization_params.h
    quantization/quantization_params_json.h
    quantization/quantize.h
    quantization/quantized_type.h
    quantization/requantize.h
    serialization/per_channel_qtensor.h
    serialization/qtensor_codec.h
    serialization/qtensor_serializer.h)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${header}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/caffe2_quantization/${folder})
endforeach()

# Headers that have moved, under the names they had: each includes the new one.
foreach(pair IN ITEMS
    observers/min_max_file.h=profiles/min_max_file.h
    observers/output_info.h=profiles/output_info.h
    observers/profile.h=profiles/profile.h
    quantization/export.h=base/export.h
    quantization/status.h=base/status.h)
  string(REGEX MATCH "^(.+)=(.+)$" pair "${pair}")
  set(old ${CMAKE_MATCH_1})
  set(new ${CMAKE_MATCH_2})
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/moved_headers/${old}
    CONTENT "// This header is now ${new}.\n#include \"${new}\"  // IWYU pragma: export\n")
  cmake_path(GET old PARENT_PATH folder)
  install(FILES ${PROJECT_BINARY_DIR}/moved_headers/${old}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/caffe2_quantization/${folder})
endforeach()

install(DIRECTORY python/caffe2_quantization
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/python
  FILES_MATCHING PATTERN "*.py")

configure_package_config_file(
  cmake/caffe2_quantizationConfig.cmake.in
  ${PROJECT_BINARY_DIR}/caffe2_quantizationConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/caffe2_quantizationConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/caffe2_quantizationConfig.cmake
    ${PROJECT_BINARY_DIR}/caffe2_quantizationConfigVersion.cmake
    cmake/FindCaffe2Host.cmake
  DESTINATION ${package_dir})

# FindOneDnn: oneDNN with its C interface (Debian's libdnnl-dev). Its own package file asks for OpenCL's headers too.
#
# Targets:
#   OneDnn::OneDnn
find_path(ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.h DOC "The folder of oneapi/dnnl/dnnl.h")
find_library(ONEDNN_LIBRARY dnnl DOC "libdnnl.so")
mark_as_advanced(ONEDNN_INCLUDE_DIR ONEDNN_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDnn REQUIRED_VARS ONEDNN_LIBRARY ONEDNN_INCLUDE_DIR)

if(OneDnn_FOUND AND NOT TARGET OneDnn::OneDnn)
  add_library(OneDnn::OneDnn UNKNOWN IMPORTED)
  set_target_properties(OneDnn::OneDnn PROPERTIES IMPORTED_LOCATION "${ONEDNN_LIBRARY}")
  target_include_directories(OneDnn::OneDnn SYSTEM INTERFACE "${ONEDNN_INCLUDE_DIR}")
endif()

#[=[
FindCaffe2Host: the Caffe2 that the plugin is built against, as the PyPI wheel of torch has it.

Where to look, each a cache variable:
  CAFFE2_HOST_ROOT           an installed torch, or the C++ part of one: holds include/ and lib/ (.deps/host)
  CAFFE2_HOST_PROTOBUF_ROOT  the protobuf its headers demand, static: include/, lib/libprotobuf.a, bin/protoc
                             (protobuf, beside CAFFE2_HOST_ROOT)
  CAFFE2_HOST_MKL_INCLUDE    the folder of mkl_cblas.h (mkl/include, beside CAFFE2_HOST_ROOT)
  CAFFE2_HOST_EIGEN_INCLUDE  the folder of Eigen/Core (found on the system)
The defaults are what script/setup makes: in the checkout, or beside the .deps/host that is named.

Targets:
  Caffe2Host::Caffe2    headers and libraries of the host, protobuf's headers among them
  Caffe2Host::Protobuf  static protobuf; whatever is linked (not merely compiled) against the host's headers needs it
  Caffe2Host::protoc    its compiler
Variables:
  Caffe2Host_FOUND, Caffe2Host_VERSION
  Caffe2Host_LIBRARY_DIR       the folder of libtorch_cpu.so
  Caffe2Host_PROTOBUF_VERSION  as the host's headers demand it
#]=]

set(CAFFE2_HOST_ROOT "${PROJECT_SOURCE_DIR}/.deps/host" CACHE PATH "An installed torch: holds include/ and lib/")

# Sets `variable` to the place of `part`: beside the host, else in the checkout's .deps.
function(_Caffe2Host_place variable part)
  cmake_path(SET place NORMALIZE "${CAFFE2_HOST_ROOT}/../${part}")
  if(NOT EXISTS "${place}")
    set(place "${PROJECT_SOURCE_DIR}/.deps/${part}")
  endif()
  set(${variable} "${place}" PARENT_SCOPE)
endfunction()

_Caffe2Host_place(_Caffe2Host_protobuf protobuf)
_Caffe2Host_place(_Caffe2Host_mkl mkl/include)
set(CAFFE2_HOST_PROTOBUF_ROOT "${_Caffe2Host_protobuf}" CACHE PATH "The protobuf that the host demands")
set(CAFFE2_HOST_MKL_INCLUDE "${_Caffe2Host_mkl}" CACHE PATH "The folder of mkl_cblas.h")
find_path(CAFFE2_HOST_EIGEN_INCLUDE Eigen/Core PATH_SUFFIXES eigen3 DOC "The folder of Eigen/Core")
mark_as_advanced(CAFFE2_HOST_EIGEN_INCLUDE)

# Why it was not found, if so: the first thing that is missing.
set(_Caffe2Host_reason "")

# Sets `variable` to `path`, or to NOTFOUND with a reason.
macro(_Caffe2Host_need variable path remedy)
  if(EXISTS "${path}")
    set(${variable} "${path}")
  else()
    set(${variable} "${variable}-NOTFOUND")
    if(NOT _Caffe2Host_reason)
      set(_Caffe2Host_reason "${path} is not there.\n${remedy}")
    endif()
  endif()
endmacro()

# Sets `variable` to the number that `header` has after `pattern`, or to nothing.
function(_Caffe2Host_number variable header pattern)
  set(number "")
  if(EXISTS "${header}")
    file(STRINGS "${header}" lines REGEX "${pattern}")
    if(lines MATCHES "${pattern}[^0-9]*([0-9]+)")
      set(number "${CMAKE_MATCH_1}")
    endif()
  endif()
  set(${variable} "${number}" PARENT_SCOPE)
endfunction()

# 3013000 -> 3.13.0
function(_Caffe2Host_dotted variable number)
  math(EXPR major "${number} / 1000000")
  math(EXPR minor "${number} / 1000 % 1000")
  math(EXPR patch "${number} % 1000")
  set(${variable} "${major}.${minor}.${patch}" PARENT_SCOPE)
endfunction()

set(_Caffe2Host_setup "Run script/setup --cpp, or set")
_Caffe2Host_need(Caffe2Host_MACROS_H "${CAFFE2_HOST_ROOT}/include/caffe2/core/macros.h"
  "${_Caffe2Host_setup} CAFFE2_HOST_ROOT to an installed torch that has Caffe2 (1.8 to 1.10).")
_Caffe2Host_need(Caffe2Host_TORCH_CPU_LIBRARY "${CAFFE2_HOST_ROOT}/lib/libtorch_cpu.so"
  "${_Caffe2Host_setup} CAFFE2_HOST_ROOT to an installed torch.")
_Caffe2Host_need(Caffe2Host_C10_LIBRARY "${CAFFE2_HOST_ROOT}/lib/libc10.so"
  "${_Caffe2Host_setup} CAFFE2_HOST_ROOT to an installed torch.")
_Caffe2Host_need(Caffe2Host_PROTOBUF_PORT_DEF "${CAFFE2_HOST_PROTOBUF_ROOT}/include/google/protobuf/port_def.inc"
  "${_Caffe2Host_setup} CAFFE2_HOST_PROTOBUF_ROOT to a static protobuf.")
_Caffe2Host_need(Caffe2Host_PROTOBUF_LIBRARY "${CAFFE2_HOST_PROTOBUF_ROOT}/lib/libprotobuf.a"
  "${_Caffe2Host_setup} CAFFE2_HOST_PROTOBUF_ROOT to a static protobuf.")
_Caffe2Host_need(Caffe2Host_PROTOC "${CAFFE2_HOST_PROTOBUF_ROOT}/bin/protoc"
  "${_Caffe2Host_setup} CAFFE2_HOST_PROTOBUF_ROOT to a static protobuf with its protoc.")
_Caffe2Host_need(Caffe2Host_MKL_CBLAS_H "${CAFFE2_HOST_MKL_INCLUDE}/mkl_cblas.h"
  "${_Caffe2Host_setup} CAFFE2_HOST_MKL_INCLUDE to the folder of mkl_cblas.h.")
if(NOT CAFFE2_HOST_EIGEN_INCLUDE AND NOT _Caffe2Host_reason)
  set(_Caffe2Host_reason "Eigen/Core is nowhere on this system.\nRun script/setup, or install Debian's libeigen3-dev.")
endif()

# The host says its version in a header (CAFFE2_VERSION is made of these three), so that a bare include/ and lib/ do.
set(Caffe2Host_VERSION "")
foreach(_Caffe2Host_part IN ITEMS MAJOR MINOR PATCH)
  _Caffe2Host_number(_Caffe2Host_number "${Caffe2Host_MACROS_H}" "define CAFFE2_VERSION_${_Caffe2Host_part}")
  list(APPEND Caffe2Host_VERSION "${_Caffe2Host_number}")
endforeach()
list(JOIN Caffe2Host_VERSION "." Caffe2Host_VERSION)
if(NOT Caffe2Host_VERSION MATCHES "^[0-9]+\\.[0-9]+\\.[0-9]+$")
  set(Caffe2Host_VERSION "")
endif()

# caffe2.pb.h refuses every protobuf but one, deep inside the first compilation: say it here instead.
_Caffe2Host_number(_Caffe2Host_demanded "${CAFFE2_HOST_ROOT}/include/caffe2/proto/caffe2.pb.h" "#if PROTOBUF_VERSION <")
_Caffe2Host_number(_Caffe2Host_oldest "${Caffe2Host_PROTOBUF_PORT_DEF}" "#define PROTOBUF_MIN_PROTOC_VERSION")
_Caffe2Host_number(_Caffe2Host_present "${Caffe2Host_PROTOBUF_PORT_DEF}" "#define PROTOBUF_VERSION")
set(Caffe2Host_PROTOBUF_VERSION "")
if(_Caffe2Host_demanded)
  _Caffe2Host_dotted(Caffe2Host_PROTOBUF_VERSION ${_Caffe2Host_demanded})
endif()
set(_Caffe2Host_protobuf_fits FALSE)
if(_Caffe2Host_demanded AND _Caffe2Host_present AND _Caffe2Host_oldest)
  if(_Caffe2Host_present LESS _Caffe2Host_demanded OR _Caffe2Host_demanded LESS _Caffe2Host_oldest)
    _Caffe2Host_dotted(_Caffe2Host_present ${_Caffe2Host_present})
    string(CONCAT _Caffe2Host_reason
      "the host's headers (${Caffe2Host_VERSION}) demand protobuf ${Caffe2Host_PROTOBUF_VERSION}, but "
      "${CAFFE2_HOST_PROTOBUF_ROOT} holds ${_Caffe2Host_present}.\n"
      "Run script/setup --cpp with CAFFE2_HOST_VERSION=${Caffe2Host_VERSION} in the environment.")
  else()
    set(_Caffe2Host_protobuf_fits TRUE)
  endif()
endif()

include(FindPackageHandleStandardArgs)
if(_Caffe2Host_reason)
  set(_Caffe2Host_reason REASON_FAILURE_MESSAGE "${_Caffe2Host_reason}")
endif()
find_package_handle_standard_args(Caffe2Host
  REQUIRED_VARS
    Caffe2Host_TORCH_CPU_LIBRARY Caffe2Host_C10_LIBRARY Caffe2Host_MACROS_H
    Caffe2Host_PROTOBUF_LIBRARY Caffe2Host_PROTOBUF_PORT_DEF Caffe2Host_PROTOC _Caffe2Host_protobuf_fits
    Caffe2Host_MKL_CBLAS_H CAFFE2_HOST_EIGEN_INCLUDE
  VERSION_VAR Caffe2Host_VERSION
  ${_Caffe2Host_reason})

set(Caffe2Host_LIBRARY_DIR "${CAFFE2_HOST_ROOT}/lib")

if(Caffe2Host_FOUND AND NOT TARGET Caffe2Host::Caffe2)
  find_package(Threads REQUIRED)

  add_library(Caffe2Host::Protobuf STATIC IMPORTED)
  set_target_properties(Caffe2Host::Protobuf PROPERTIES
    IMPORTED_LOCATION "${Caffe2Host_PROTOBUF_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${CAFFE2_HOST_PROTOBUF_ROOT}/include"
    INTERFACE_COMPILE_DEFINITIONS _GLIBCXX_USE_CXX11_ABI=0
    INTERFACE_LINK_LIBRARIES Threads::Threads
    INTERFACE_LINK_OPTIONS "LINKER:--exclude-libs,libprotobuf.a") # the host has a copy of its own: export none of ours

  add_executable(Caffe2Host::protoc IMPORTED)
  set_target_properties(Caffe2Host::protoc PROPERTIES IMPORTED_LOCATION "${Caffe2Host_PROTOC}")

  # Imported as shared libraries, so that CMake puts their folder into the run path of what it builds; there they find
  # the wheel's libgomp and libcudart by their own run path.
  foreach(_Caffe2Host_library IN ITEMS C10 TORCH_CPU)
    add_library(Caffe2Host::${_Caffe2Host_library} SHARED IMPORTED)
    set_target_properties(Caffe2Host::${_Caffe2Host_library} PROPERTIES
      IMPORTED_LOCATION "${Caffe2Host_${_Caffe2Host_library}_LIBRARY}")
  endforeach()

  add_library(Caffe2Host::Caffe2 INTERFACE IMPORTED)
  target_include_directories(Caffe2Host::Caffe2 SYSTEM INTERFACE
    "${CAFFE2_HOST_ROOT}/include" "${CAFFE2_HOST_PROTOBUF_ROOT}/include"
    "${CAFFE2_HOST_MKL_INCLUDE}" "${CAFFE2_HOST_EIGEN_INCLUDE}")
  target_compile_definitions(Caffe2Host::Caffe2 INTERFACE _GLIBCXX_USE_CXX11_ABI=0)
  target_compile_features(Caffe2Host::Caffe2 INTERFACE cxx_std_14)
  target_link_libraries(Caffe2Host::Caffe2 INTERFACE Caffe2Host::TORCH_CPU Caffe2Host::C10 Threads::Threads)
  target_link_options(Caffe2Host::Caffe2 INTERFACE
    LINKER:--allow-shlib-undefined # the wheel leaves MKL symbols that nothing calls open
    "LINKER:-rpath-link,${Caffe2Host_LIBRARY_DIR}")
endif()

unset(_Caffe2Host_reason)
unset(_Caffe2Host_setup)
unset(_Caffe2Host_part)
unset(_Caffe2Host_number)
unset(_Caffe2Host_demanded)
unset(_Caffe2Host_oldest)
unset(_Caffe2Host_present)
unset(_Caffe2Host_protobuf_fits)
unset(_Caffe2Host_library)
unset(_Caffe2Host_protobuf)
unset(_Caffe2Host_mkl)

# The few functions through which every target of the project is declared, so
# that flags, ABI and registration rules stand in one place.

# Compiles through ccache when there is one. The sloppiness lets it serve
# sources that use a precompiled header; the base folder, one checkout's objects
# to another: compiled-in paths are relative (caffe2_quantization_map_paths).
function(caffe2_quantization_use_ccache)
  find_program(CCACHE_PROGRAM ccache)
  mark_as_advanced(CCACHE_PROGRAM)
  if(CCACHE_PROGRAM AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true
      ${CCACHE_PROGRAM} PARENT_SCOPE)
  endif()
endfunction()

# Sets `variable` to the run path of programs: the libraries' folder, from theirs, in
# the build tree and where both are installed.
function(caffe2_quantization_run_path variable)
  file(RELATIVE_PATH built ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
  file(RELATIVE_PATH installed ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set(path "$ORIGIN/${built}" "$ORIGIN/${installed}")
  list(REMOVE_DUPLICATES path)
  set(${variable} "${path}" PARENT_SCOPE)
endfunction()

# Makes links to the host's libraries in `folder`, relative ones if the host is in the
# checkout as `folder` is: a checkout that is moved as a whole still works.
function(caffe2_quantization_link_to_host folder)
  file(MAKE_DIRECTORY ${folder})
  file(GLOB libraries "${Caffe2Host_LIBRARY_DIR}/*.so*")
  cmake_path(IS_PREFIX PROJECT_SOURCE_DIR "${Caffe2Host_LIBRARY_DIR}" NORMALIZE host_is_inside)
  cmake_path(IS_PREFIX PROJECT_SOURCE_DIR "${folder}" NORMALIZE folder_is_inside)
  foreach(library IN LISTS libraries)
    cmake_path(GET library FILENAME name)
    if(host_is_inside AND folder_is_inside)
      file(RELATIVE_PATH library ${folder} ${library})
    endif()
    file(CREATE_LINK ${library} ${folder}/${name} SYMBOLIC)
  endforeach()
endfunction()

# Flags that every target of ours shares.
#  - the host's std::string ABI, so that objects may meet it;
#  - hidden symbols: the plugin exports a short list and nothing else;
#  - no contraction: scalar and SIMD forms must round alike;
#  - no path of this machine in messages and debug information.
function(caffe2_quantization_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_17)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE OFF)
  target_compile_definitions(${target} PRIVATE _GLIBCXX_USE_CXX11_ABI=0)
  # -fPIC everywhere, also in executables: objects and precompiled headers are then
  # the same for all.
  target_compile_options(${target} PRIVATE
    -fPIC -ffp-contract=off -Wall -Wextra -Wno-unused-parameter
    $<$<BOOL:${CAFFE2_QUANTIZATION_WERROR}>:-Werror>)
  caffe2_quantization_map_paths(${target})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  if(CAFFE2_QUANTIZATION_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=${CAFFE2_QUANTIZATION_SANITIZE} -fno-omit-frame-pointer -g1)
    target_link_options(${target} PRIVATE
      -fsanitize=${CAFFE2_QUANTIZATION_SANITIZE})
    if(CAFFE2_QUANTIZATION_SANITIZE MATCHES "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize-recover=undefined)
    endif()
  endif()
endfunction()

# Compiled-in names of files begin at the top of the checkout, of the build folder, of the
# host and of protobuf.
function(caffe2_quantization_map_paths target)
  # The last that fits counts; the folders may lie in each other. GCC names a header by
  # its real path where that is shorter.
  foreach(pair IN ITEMS
      "${PROJECT_SOURCE_DIR}="
      "${CAFFE2_HOST_ROOT}=host/"
      "${CAFFE2_HOST_PROTOBUF_ROOT}=protobuf/"
      "${PROJECT_BINARY_DIR}=")
    string(REGEX MATCH "^(.+)=([^=]*)$" pair "${pair}")
    file(REAL_PATH "${CMAKE_MATCH_1}" real)
    set(folders "${CMAKE_MATCH_1}" "${real}")
    list(REMOVE_DUPLICATES folders)
    foreach(folder IN LISTS folders)
      target_compile_options(${target} PRIVATE "-ffile-prefix-map=${folder}/=${CMAKE_MATCH_2}")
    endforeach()
  endforeach()
endfunction()

# Host headers take six seconds to parse: they are compiled once, and every target
# that includes them reuses the result.
function(caffe2_quantization_precompile_host_headers target)
  if(NOT TARGET caffe2_quantization_host_headers)
    set(source ${PROJECT_BINARY_DIR}/host_headers.cc)
    file(CONFIGURE OUTPUT ${source} CONTENT "// Exists to be precompiled for.\n")
    add_library(caffe2_quantization_host_headers OBJECT ${source})
    caffe2_quantization_compile_options(caffe2_quantization_host_headers)
    target_link_libraries(caffe2_quantization_host_headers
      PRIVATE Caffe2Host::Caffe2 Caffe2Host::Protobuf)
    target_precompile_headers(caffe2_quantization_host_headers PRIVATE
      <caffe2/core/blob_serialization.h>
      <caffe2/core/net.h>
      <caffe2/core/operator.h>
      <caffe2/core/workspace.h>)
  endif()
  target_precompile_headers(${target} REUSE_FROM caffe2_quantization_host_headers)
endfunction()

# caffe2_quantization_add_library(<room> SOURCES … [LINK …] [HOST])
# Declares the static library caffe2_quantization_<room>; HOST gives it Caffe2's
# headers. Registration is an explicit list (plugin/registration.cc), never a
# static initialiser, so an archive can drop nothing.
function(caffe2_quantization_add_library room)
  cmake_parse_arguments(ARG "HOST" "" "SOURCES;LINK" ${ARGN})
  set(target caffe2_quantization_${room})
  add_library(${target} STATIC ${ARG_SOURCES})
  caffe2_quantization_compile_options(${target})
  target_link_libraries(${target} PUBLIC ${ARG_LINK})
  if(ARG_HOST)
    target_link_libraries(${target} PUBLIC Caffe2Host::Caffe2 Caffe2Host::Protobuf)
    caffe2_quantization_precompile_host_headers(${target})
  endif()
endfunction()

# caffe2_quantization_install_interface(<room>)
# The room is installed too, as caffe2_quantization::<room>, with the host's ABI.
function(caffe2_quantization_install_interface room)
  set(target caffe2_quantization_${room})
  target_compile_definitions(${target}
    INTERFACE $<INSTALL_INTERFACE:_GLIBCXX_USE_CXX11_ABI=0>)
  target_include_directories(${target} INTERFACE
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/caffe2_quantization>)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${room})
endfunction()

# caffe2_quantization_add_proto_library(<room> <file.proto>…)
# Declares the static library caffe2_quantization_<room> of the classes of .proto
# files, included as "<room>/<file>.pb.h".
function(caffe2_quantization_add_proto_library room)
  set(target caffe2_quantization_${room})
  set(out_dir ${PROJECT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out_dir})
  set(generated "")
  foreach(file IN LISTS ARGN)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    cmake_path(REPLACE_EXTENSION file LAST_ONLY "" OUTPUT_VARIABLE stem)
    set(outputs ${out_dir}/${room}/${stem}.pb.cc ${out_dir}/${room}/${stem}.pb.h)
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND Caffe2Host::protoc --proto_path=${PROJECT_SOURCE_DIR}
        --cpp_out=${out_dir} ${source}
      DEPENDS ${source} Caffe2Host::protoc
      COMMENT "protoc ${room}/${file}"
      VERBATIM)
    list(APPEND generated ${outputs})
  endforeach()
  add_library(${target} STATIC ${generated})
  caffe2_quantization_compile_options(${target})
  # Names may be any bytes; without this protobuf would print of each that is not
  # UTF-8 in a debug build.
  target_compile_definitions(${target} PRIVATE NDEBUG)
  target_include_directories(${target} SYSTEM PUBLIC ${out_dir})
  target_link_libraries(${target} PUBLIC Caffe2Host::Protobuf)
endfunction()

# caffe2_quantization_add_test(<name> SOURCES … LINK … [LABELS …] [HOST | ORACLE])
# One GoogleTest executable, one CTest entry a test program. HOST tests register
# the plugin's operators before the first test; ORACLE tests do not, so that the
# host's own operators answer to their names and ours are made as objects.
function(caffe2_quantization_add_test name)
  cmake_parse_arguments(ARG "HOST;ORACLE" "" "SOURCES;LINK;LABELS" ${ARGN})
  if(ARG_HOST)
    set(main host_main.cc)
  elseif(ARG_ORACLE)
    set(main oracle_main.cc)
  else()
    set(main main.cc)
  endif()
  add_executable(${name} ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/support/${main})
  caffe2_quantization_compile_options(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} caffe2_quantization_test_support)
  if(ARG_HOST OR ARG_ORACLE)
    target_link_libraries(${name} PRIVATE
      caffe2_quantization_registration Caffe2Host::Caffe2 Caffe2Host::Protobuf)
    caffe2_quantization_precompile_host_headers(${name})
  endif()
  if("sanitizer" IN_LIST ARG_LABELS)
    add_dependencies(sanitizer_tests ${name})
  endif()
  if("threads" IN_LIST ARG_LABELS)
    add_dependencies(thread_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
    LABELS "${ARG_LABELS}"
    ENVIRONMENT "CAFFE2_QUANTIZATION_SOURCE_DIR=${PROJECT_SOURCE_DIR};CAFFE2_QUANTIZATION_PLUGIN=$<TARGET_FILE:caffe2_quantization>;CAFFE2_QUANTIZATION_CLI=$<TARGET_FILE:caffe2-quantize>")
endfunction()

# caffe2_quantization_test_each_cap(<name>)
# The same program once more for each lower cap of the instruction set, as
# <name>_<cap>, with its labels and environment: oneDNN's is capped once in a
# process.
function(caffe2_quantization_test_each_cap name)
  get_test_property(${name} LABELS labels)
  get_test_property(${name} ENVIRONMENT environment)
  foreach(cap IN ITEMS scalar avx2 avx512)
    add_test(NAME ${name}_${cap} COMMAND ${name})
    set_tests_properties(${name}_${cap} PROPERTIES
      LABELS "${labels}"
      ENVIRONMENT "${environment};CAFFE2_QUANTIZATION_MAX_ISA=${cap}")
  endforeach()
endfunction()

# caffe2_quantization_shard_test(<name> <count> COST <seconds>)
# Deals the program's tests out to `count` CTest entries, <name> and <name>_2 to
# <name>_<count>, each of about so many seconds. GoogleTest does it, in the order
# of the tests, so none can be left out.
function(caffe2_quantization_shard_test name count)
  cmake_parse_arguments(ARG "" "COST" "" ${ARGN})
  get_test_property(${name} LABELS labels)
  get_test_property(${name} ENVIRONMENT environment)
  foreach(shard RANGE 1 ${count})
    set(entry ${name})
    if(shard GREATER 1)
      set(entry ${name}_${shard})
      add_test(NAME ${entry} COMMAND ${name})
    endif()
    math(EXPR index "${shard} - 1")
    set_tests_properties(${entry} PROPERTIES
      LABELS "${labels}"
      COST ${ARG_COST}
      ENVIRONMENT "${environment};GTEST_TOTAL_SHARDS=${count};GTEST_SHARD_INDEX=${index}")
  endforeach()
endfunction()

# FindxxHash: xxHash as headers alone (Debian's libxxhash-dev); define XXH_INLINE_ALL where it is included.
#
# Targets:
#   xxHash::xxHash
find_path(XXHASH_INCLUDE_DIR xxhash.h DOC "The folder of xxhash.h")
mark_as_advanced(XXHASH_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(xxHash REQUIRED_VARS XXHASH_INCLUDE_DIR)

if(xxHash_FOUND AND NOT TARGET xxHash::xxHash)
  add_library(xxHash::xxHash INTERFACE IMPORTED)
  target_include_directories(xxHash::xxHash SYSTEM INTERFACE "${XXHASH_INCLUDE_DIR}")
endif()

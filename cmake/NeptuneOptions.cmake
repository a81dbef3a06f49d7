# Build switches, and the flags every target of the project is built with.
option(NEPTUNE_TESTS "Build the tests and the sandbox server" ON)
option(NEPTUNE_WERROR "Treat warnings as errors" ON)
option(NEPTUNE_UNITY "Compile files of a library several at once, in less than half the time" ON)
set(NEPTUNE_SANITIZE "" CACHE STRING "Sanitizers to build with, as for -fsanitize=: address,undefined or thread")

add_library(neptune_flags INTERFACE)
target_compile_options(neptune_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor)
if(NEPTUNE_WERROR)
  target_compile_options(neptune_flags INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives for these in coroutine frames and std::expected.
  target_compile_options(neptune_flags INTERFACE -Wno-maybe-uninitialized -Wno-dangling-pointer
                         -Wno-mismatched-new-delete)
  # Where several files are compiled as one, it takes what is local to each for what a header declares.
  target_compile_options(neptune_flags INTERFACE -Wno-subobject-linkage)
endif()
if(NEPTUNE_SANITIZE)
  target_compile_options(neptune_flags INTERFACE -fsanitize=${NEPTUNE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(neptune_flags INTERFACE -fsanitize=${NEPTUNE_SANITIZE})
  if(NEPTUNE_SANITIZE MATCHES "undefined")
    # A check of every pointer that is followed doubles the time to compile, and AddressSanitizer sees what they point to.
    target_compile_options(neptune_flags INTERFACE -fno-sanitize=null,alignment,object-size)
  endif()
endif()

# Tests' own code is compiled fast rather than to run fast.
add_library(neptune_test_flags INTERFACE)
target_link_libraries(neptune_test_flags INTERFACE neptune_flags)
target_compile_options(neptune_test_flags INTERFACE -O0)

find_program(NEPTUNE_CCACHE ccache)
if(NEPTUNE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${NEPTUNE_CCACHE})
endif()
find_program(NEPTUNE_MOLD mold)
if(NEPTUNE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Build switches, and the flags every target of the project is built with.
option(NEPTUNE_TESTS "Build the tests and the sandbox server" ON)
option(NEPTUNE_WERROR "Treat warnings as errors" ON)
set(NEPTUNE_SANITIZE "" CACHE STRING "Sanitizers to build with, as for -fsanitize=: address,undefined or thread")

add_library(neptune_warnings INTERFACE)
target_compile_options(neptune_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor)
if(NEPTUNE_WERROR)
  target_compile_options(neptune_warnings INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives for these in coroutine frames and std::expected.
  target_compile_options(neptune_warnings INTERFACE -Wno-maybe-uninitialized -Wno-dangling-pointer
                         -Wno-mismatched-new-delete)
endif()

add_library(neptune_flags INTERFACE)
# Tests' own code: compiled fast rather than to run fast, and without the checks for undefined behaviour, which double the
# time that GoogleTest's macros take to compile. What they test has all of both.
add_library(neptune_test_flags INTERFACE)
target_link_libraries(neptune_flags INTERFACE neptune_warnings)
target_link_libraries(neptune_test_flags INTERFACE neptune_warnings)
target_compile_options(neptune_test_flags INTERFACE -O0)
if(NEPTUNE_SANITIZE)
  string(REPLACE ",undefined" "" sanitize_tests "${NEPTUNE_SANITIZE}")
  target_compile_options(neptune_flags INTERFACE -fsanitize=${NEPTUNE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_compile_options(neptune_test_flags INTERFACE -fsanitize=${sanitize_tests} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${NEPTUNE_SANITIZE})
endif()

find_program(NEPTUNE_CCACHE ccache)
if(NEPTUNE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${NEPTUNE_CCACHE})
endif()
find_program(NEPTUNE_MOLD mold)
if(NEPTUNE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

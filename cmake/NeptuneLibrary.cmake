# neptune_library(NAME SOURCES ... USES ...): one folder, one library.
# USES are the folders it may include from (a unit test checks the includes against docs/architecture.md).
function(neptune_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;PRIVATE" ${ARGN})
  add_library(neptune_${name} STATIC ${arg_SOURCES})
  target_include_directories(neptune_${name} PUBLIC ${CMAKE_SOURCE_DIR}/daemon ${CMAKE_SOURCE_DIR})
  target_link_libraries(neptune_${name} PUBLIC ${arg_USES} PRIVATE neptune_flags ${arg_PRIVATE})
  set_target_properties(neptune_${name} PROPERTIES UNITY_BUILD ${NEPTUNE_UNITY} UNITY_BUILD_BATCH_SIZE 6)
endfunction()

# neptune_test(NAME SOURCES ... USES ... [OPTIMIZED]): one GoogleTest binary, one ctest entry a test. OPTIMIZED is for a
# test that computes for long by itself.
function(neptune_test name)
  cmake_parse_arguments(arg "OPTIMIZED" "TIMEOUT" "SOURCES;USES;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  set(flags neptune_test_flags)
  if(arg_OPTIMIZED)
    set(flags neptune_flags)
  endif()
  target_link_libraries(${name} PRIVATE ${arg_USES} ${flags} GTest::gtest_main GTest::gmock)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
endfunction()

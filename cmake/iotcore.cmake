# Build settings that hold for every target, and the two functions that make one.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
if(IOTCORE_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
  add_compile_options(-fsanitize=${IOTCORE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${IOTCORE_SANITIZE})
  add_compile_definitions(IOTCORE_SANITIZED=1)
endif()
# Paths in debug information and asserts are relative, so that checkouts share one compiler cache.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -fno-plt)
add_compile_definitions(
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  BOOST_BEAST_USE_STD_STRING_VIEW)

set(IOTCORE_WARNINGS
  -Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual -Werror)

# iotcore_library(NAME SOURCES... [DEPS ...] [PRIVATE_DEPS ...]): one static library, included from the root.
function(iotcore_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${IOTCORE_WARNINGS})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# iotcore_unit_test(MODULE DEPS...): every tests/unit/MODULE/*.cpp in one Catch2 program named unit.MODULE.
function(iotcore_unit_test module)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${module}/*.cpp)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" target unit_${module})
  add_executable(${target} ${sources})
  target_compile_options(${target} PRIVATE ${IOTCORE_WARNINGS})
  target_link_libraries(${target} PRIVATE Catch2::Catch2WithMain ${ARGN})
  target_compile_definitions(${target} PRIVATE IOTCORE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  string(REPLACE "/" "." test unit.${module})
  add_test(NAME ${test} COMMAND ${target})
endfunction()

# What every target of Pare's own code shares.

find_package(ZLIB REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)

add_library(pare_flags INTERFACE)
target_compile_options(pare_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -ffp-contract=off
                       $<$<BOOL:${PARE_WERROR}>:-Werror>)
target_compile_definitions(pare_flags INTERFACE _GNU_SOURCE)
if(PARE_SANITIZE)
  target_compile_options(pare_flags INTERFACE -fsanitize=${PARE_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(pare_flags INTERFACE -fsanitize=${PARE_SANITIZE})
endif()
if(PARE_FUZZ)
  target_compile_options(pare_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What an application ships is optimised with -O2, which keeps it below the size
# that tests/law/runtime_size_test.sh allows; the files named get -O3.
function(pare_ship name)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O2>)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
endfunction()

# pare_library(NAME FOLDER...) makes a static library of every .c file directly
# in the folders; its public headers lie in include/ of the current folder.
function(pare_library name)
  set(sources)
  foreach(folder IN LISTS ARGN)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.c)
    list(APPEND sources ${found})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE pare_flags)
endfunction()

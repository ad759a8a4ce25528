# One target per folder, whose include path lists exactly the folders it may see: a forbidden include does not compile.
#
# tw_folder(NAME FOLDER src/base [UNDER ps] SEES base data ... [LIBRARIES pkg ...])
#   Sources of the folder are all *.c in it. A folder is seen as "<last path part>/file.h", with UNDER as
#   "<under>/<last path part>/file.h", through a view: a directory of its own that holds one link to it.

set(TW_VIEWS ${CMAKE_BINARY_DIR}/views)

function(tw_view name folder)
  set(view ${TW_VIEWS}/${name}/${ARGN})
  file(MAKE_DIRECTORY ${view})
  get_filename_component(last ${folder} NAME)
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${view}/${last} SYMBOLIC)
endfunction()

function(tw_folder name)
  cmake_parse_arguments(ARG "" "FOLDER;UNDER" "SEES;LIBRARIES" ${ARGN})
  tw_view(${name} ${ARG_FOLDER} ${ARG_UNDER})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${ARG_FOLDER}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(tw_${name} OBJECT ${sources})
  target_compile_options(tw_${name} PRIVATE ${TW_WARNINGS})
  target_include_directories(tw_${name} PRIVATE ${CMAKE_SOURCE_DIR}/include ${TW_VIEWS}/${name})
  foreach(seen ${ARG_SEES})
    target_include_directories(tw_${name} PRIVATE ${TW_VIEWS}/${seen})
  endforeach()
  foreach(library ${ARG_LIBRARIES})
    target_include_directories(tw_${name} SYSTEM PRIVATE ${${library}_INCLUDE_DIRS})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY TW_OBJECTS $<TARGET_OBJECTS:tw_${name}>)
endfunction()

# Plug-in lists: every TW_X(name) line of a .def file needs the file name.c beside it, and the other way round.
function(tw_check_list list)
  get_filename_component(folder ${CMAKE_SOURCE_DIR}/${list} DIRECTORY)
  file(STRINGS ${CMAKE_SOURCE_DIR}/${list} lines REGEX "^TW_[A-Z]+\\(")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${list})
  foreach(line ${lines})
    string(REGEX REPLACE "^TW_[A-Z]+\\(([a-z0-9_]+)\\).*" "\\1" plugin "${line}")
    if(NOT EXISTS ${folder}/${plugin}.c)
      message(FATAL_ERROR "${list} names ${plugin}, but ${folder}/${plugin}.c does not exist")
    endif()
  endforeach()
endfunction()

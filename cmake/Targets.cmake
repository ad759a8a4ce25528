# libthalweg (static and shared) from every folder but cmd, the program over it, install rules.
get_property(objects GLOBAL PROPERTY TW_OBJECTS)
set(library_objects ${objects})
list(FILTER library_objects EXCLUDE REGEX "tw_cmd>")

set(TW_SOVERSION 0)

add_library(thalweg_static STATIC ${library_objects})
target_link_libraries(thalweg_static PUBLIC ${TW_LINK_LIBRARIES})
set_target_properties(thalweg_static PROPERTIES OUTPUT_NAME thalweg)

add_library(thalweg_shared SHARED ${library_objects})
target_link_libraries(thalweg_shared PUBLIC ${TW_LINK_LIBRARIES})
set_target_properties(thalweg_shared PROPERTIES OUTPUT_NAME thalweg VERSION ${PROJECT_VERSION} SOVERSION ${TW_SOVERSION})

if(TARGET tw_cmd)
  add_executable(thalweg $<TARGET_OBJECTS:tw_cmd>)
  target_link_libraries(thalweg PRIVATE thalweg_static)
  install(TARGETS thalweg RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

install(TARGETS thalweg_static thalweg_shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/thalweg DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES src/scorer/thalweg_score.c src/scorer/thalweg_score.h src/scorer/example/score_rows.c
        DESTINATION ${CMAKE_INSTALL_DATADIR}/thalweg/scorer)
install(DIRECTORY scripts/systemd/ DESTINATION lib/systemd/system FILES_MATCHING PATTERN "*.service")
install(FILES LICENSE README.md README.zh-CN.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The package files find the rest from where they lie themselves: the prefix is known at installation only.
file(RELATIVE_PATH TW_PREFIX_FROM_PKGCONFIG /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" TW_PREFIX_FROM_PKGCONFIG "${TW_PREFIX_FROM_PKGCONFIG}")
# Libraries by name, for programs that link the archive: Requires.private would drag in the static needs of libzmq.
set(TW_PKGCONFIG_LIBRARIES "")
foreach(library ${TW_LINK_LIBRARIES})
  get_filename_component(name ${library} NAME_WE)
  string(REGEX REPLACE "^lib" "" name ${name})
  string(REPLACE "Threads::Threads" "pthread" name ${name})
  string(APPEND TW_PKGCONFIG_LIBRARIES "-l${name} ")
endforeach()
configure_file(cmake/thalweg.pc.in thalweg.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/thalweg.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
include(CMakePackageConfigHelpers)
string(REPLACE "Threads::Threads" "-pthread" TW_STATIC_LIBRARIES "${TW_LINK_LIBRARIES}")
configure_package_config_file(cmake/thalwegConfig.cmake.in ${CMAKE_BINARY_DIR}/thalwegConfig.cmake
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/thalweg)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/thalwegConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/thalwegConfig.cmake ${CMAKE_BINARY_DIR}/thalwegConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/thalweg)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(ZMQ REQUIRED libzmq>=4.3.3)
pkg_search_module(MSGPACK REQUIRED msgpack-c msgpack)
pkg_check_modules(YAML REQUIRED yaml-0.1)
pkg_check_modules(JANSSON REQUIRED jansson)
pkg_check_modules(MICROHTTPD REQUIRED libmicrohttpd)
pkg_check_modules(ZSTD REQUIRED libzstd)
pkg_check_modules(ZLIB REQUIRED zlib)
# Loaded when it is used (src/math/blas.c): OpenBLAS starts threads as soon as it is in a process.
pkg_check_modules(OPENBLAS REQUIRED openblas)
pkg_check_modules(LAPACKE REQUIRED lapacke)
find_library(MSGPACK_C_LIBRARY NAMES msgpackc msgpack-c REQUIRED)

set(TW_LINK_LIBRARIES ${ZMQ_LIBRARIES} ${MSGPACK_C_LIBRARY} ${YAML_LIBRARIES} ${JANSSON_LIBRARIES}
    ${MICROHTTPD_LIBRARIES} ${ZSTD_LIBRARIES} ${ZLIB_LIBRARIES} ${CMAKE_DL_LIBS} Threads::Threads m)

# Everything the project needs comes from Debian 12 (script/bootstrap installs it).
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(spdlog REQUIRED)
find_package(Protobuf REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(systemd REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
find_package(CLI11 REQUIRED)

# Asio and Beast, with the settings all of the project shares.
add_library(neptune_asio INTERFACE)
target_link_libraries(neptune_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(neptune_asio INTERFACE BOOST_ASIO_NO_DEPRECATED)

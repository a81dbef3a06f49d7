# What is installed where, and the Debian packages of it (script/package). neptune-sandbox, a development server, is a
# package of its own.
include(GNUInstallDirs)

# Packages are made of what is built already, so that making one builds nothing but what it needs.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

find_program(NEPTUNE_GZIP gzip REQUIRED)
# neptune_gzip(TO FROM): as Debian wants manual pages and changelogs, without a time in it.
function(neptune_gzip to from)
  add_custom_command(OUTPUT ${to} COMMAND ${NEPTUNE_GZIP} -9nc ${from} > ${to} DEPENDS ${from} VERBATIM)
endfunction()

set(gz ${CMAKE_BINARY_DIR}/package)
file(MAKE_DIRECTORY ${gz})
set(pages ${CMAKE_BINARY_DIR}/client/man)
neptune_gzip(${gz}/neptune-sync.1.gz ${pages}/neptune-sync.1)
neptune_gzip(${gz}/neptune-syncd.8.gz ${pages}/neptune-syncd.8)
neptune_gzip(${gz}/neptune-syncd.toml.5.gz ${pages}/neptune-syncd.toml.5)
neptune_gzip(${gz}/changelog.gz ${CMAKE_SOURCE_DIR}/packaging/debian/changelog)
neptune_gzip(${gz}/NEWS.gz ${CMAKE_SOURCE_DIR}/CHANGELOG.md)
add_custom_target(packaged_documents ALL
  DEPENDS ${gz}/neptune-sync.1.gz ${gz}/neptune-syncd.8.gz ${gz}/neptune-syncd.toml.5.gz ${gz}/changelog.gz ${gz}/NEWS.gz)
add_dependencies(packaged_documents manuals)

set(units ${CMAKE_SOURCE_DIR}/systemd)
set(doc share/doc/neptune-syncd)
install(TARGETS neptune-syncd neptune-sync RUNTIME DESTINATION bin COMPONENT daemon)
# Debian 12's place for units; its tools look there first.
install(FILES ${units}/neptune-syncd.service ${units}/neptune-syncd.socket DESTINATION /lib/systemd/system COMPONENT daemon)
install(FILES ${units}/user/neptune-syncd.service ${units}/user/neptune-syncd.socket
        DESTINATION lib/systemd/user COMPONENT daemon)
install(FILES ${units}/sysusers.d/neptune-syncd.conf DESTINATION lib/sysusers.d COMPONENT daemon)
install(FILES ${units}/tmpfiles.d/neptune-syncd.conf DESTINATION lib/tmpfiles.d COMPONENT daemon)
install(FILES ${CMAKE_SOURCE_DIR}/config.example.toml DESTINATION /etc/neptune-syncd RENAME config.toml COMPONENT daemon)
install(FILES ${gz}/neptune-sync.1.gz DESTINATION share/man/man1 COMPONENT daemon)
install(FILES ${gz}/neptune-syncd.toml.5.gz DESTINATION share/man/man5 COMPONENT daemon)
install(FILES ${gz}/neptune-syncd.8.gz DESTINATION share/man/man8 COMPONENT daemon)
set(scripts ${CMAKE_BINARY_DIR}/client/completions)
install(FILES ${scripts}/neptune-sync.bash DESTINATION share/bash-completion/completions RENAME neptune-sync COMPONENT daemon)
install(FILES ${scripts}/neptune-sync.zsh DESTINATION share/zsh/vendor-completions RENAME _neptune-sync COMPONENT daemon)
install(FILES ${scripts}/neptune-sync.fish DESTINATION share/fish/vendor_completions.d COMPONENT daemon)
install(FILES ${CMAKE_SOURCE_DIR}/packaging/debian/copyright ${gz}/changelog.gz ${gz}/NEWS.gz DESTINATION ${doc} COMPONENT daemon)
install(FILES ${CMAKE_SOURCE_DIR}/config.example.toml DESTINATION ${doc}/examples COMPONENT daemon)
install(FILES ${CMAKE_SOURCE_DIR}/packaging/debian/neptune-syncd.lintian-overrides
        DESTINATION share/lintian/overrides RENAME neptune-syncd COMPONENT daemon)
if(TARGET neptune-sandbox)
  install(TARGETS neptune-sandbox RUNTIME DESTINATION bin COMPONENT sandbox)
  install(FILES ${CMAKE_SOURCE_DIR}/packaging/debian/copyright ${gz}/changelog.gz
          DESTINATION share/doc/neptune-sandbox COMPONENT sandbox)
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME neptune-syncd)
set(CPACK_PACKAGE_CONTACT "neptune-syncd maintainers <maintainers@users.noreply.r-seed-5af70cb2.example>")
# Each package's own description begins with its summary.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL daemon sandbox)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(CPACK_DEBIAN_DAEMON_PACKAGE_NAME neptune-syncd)
set(CPACK_DEBIAN_DAEMON_PACKAGE_SECTION science)
set(CPACK_COMPONENT_DAEMON_DESCRIPTION
"sync of experiment metadata to a Neptune server
Finds the run logs of training jobs on this machine, sends them to a Neptune
server while the jobs still write, and removes from disk only what the server
confirmed. What a read-only workspace cannot take is held on disk, the rest
goes on, and the hold ends by itself.

The package has the daemon with its units, for the system and for users, and
the command neptune-sync, which tells what is synced, what waits, and why.")
# Of the first, that there is one: units and sysusers.d; of the second, what the maintainer scripts call.
set(CPACK_DEBIAN_DAEMON_PACKAGE_DEPENDS
  "systemd | systemd-standalone-sysusers | systemd-sysusers, systemd | systemd-standalone-tmpfiles | systemd-tmpfiles, init-system-helpers (>= 1.54~), ca-certificates")
set(CPACK_DEBIAN_DAEMON_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(script postinst prerm postrm conffiles)
  list(APPEND CPACK_DEBIAN_DAEMON_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/debian/${script})
endforeach()

set(CPACK_DEBIAN_SANDBOX_PACKAGE_NAME neptune-sandbox)
set(CPACK_DEBIAN_SANDBOX_PACKAGE_SECTION science)
set(CPACK_COMPONENT_SANDBOX_DESCRIPTION
"development server that answers as a Neptune server does
For trying neptune-syncd and for its tests: workspaces with quotas and
read-only mode, and faults on demand, in memory or in one file. It is not made
to keep anything that matters.")
include(CPack)

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "changes/names.h"
#include "support/error.h"

/// What the name of a 1.x client's directory says (docs/protocol.md, "Containers and attribute operations"):
///
///   .neptune/offline/run__<local id>__<pid>__<key>
///   .neptune/async/<run|model|model_version|project>__<id on the server>__<pid>__<key>
namespace neptune::sources {

struct ClientDirName {
  bool offline = false;  ///< a run that the server does not know yet
  ContainerKind container = ContainerKind::run;
  std::string id;        ///< offline: the local id; else the server's
  std::int32_t pid = 0;  ///< of the process that made it, where that ran
  std::string key;
};

/// A pid that the kernel gives to no process: of a directory that was written on another machine.
inline constexpr std::int32_t nobodys_pid = 4'194'304;

/// The name of a directory that says this.
std::string directory_name_of(const ClientDirName& name);

/// Whether the client puts its directories where `directory` is: in the folder `offline` or `async` of a `.neptune`, or
/// under a name of its kind in such folders elsewhere.
bool is_client_dir(const std::filesystem::path& directory);

/// Errors: "client_dir_name", "client_dir_version" (the layout of older clients).
Result<ClientDirName> parse_client_dir(const std::filesystem::path& directory);

/// The server's id of the container whose directory this is; empty where the server is not known to know it.
std::string server_id_in(const std::filesystem::path& directory);

/// What the client calls an offline run's directory once it is registered as `server_id`, beside `offline`: its new
/// path. None when the id could not be a name.
std::optional<std::filesystem::path> registered_path(const std::filesystem::path& offline_directory,
                                                     const ClientDirName& name, std::string_view server_id);

}  // namespace neptune::sources

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "sources/client_dir/dir_files.h"
#include "sources/client_dir/directory_name.h"
#include "sources/client_dir/producer.h"
#include "sources/source.h"

namespace neptune::sources {

/// One 1.x client's directory, looked at from outside.
struct ClientDirFacts {
  bool there = false;
  SourceKey key;
  std::optional<ClientDirName> name;  ///< none: `problem` says why
  ClientMetadata metadata;
  std::optional<Error> problem;  ///< it cannot be taken; of a young one it may be a matter of time
  ProcessFacts producer;         ///< who has the name's pid
  Duration quiet_for{};          ///< since the client wrote to it, by the wall clock
  Duration acked_ago{};          ///< since last_ack_version was written, by the client or by us
  std::int64_t stamp = 0;        ///< changes whenever somebody writes to it, or changes who may read it
  bool may_write = false;
  bool ours = false;  ///< it belongs to the daemon's user
};

/// Blocks on the file system.
ClientDirFacts look_at_client_dir(const std::filesystem::path& directory);

/// How a directory may be treated, from what was seen of it and of its producer.
struct ClientDirRules {
  std::chrono::milliseconds takeover_after{600000};  ///< leftovers: quiet for so long
  std::chrono::milliseconds closed_after{10000};     ///< offline: quiet for so long after its producer is gone
};
struct ClientDirVerdict {
  SourceState state = SourceState::settling_in;
  std::optional<Duration> look_again_in;  ///< when time alone would change it
};
/// An offline run is taken while it is written. A directory of a container that the server knows is the client's own as
/// long as its producer may live, and takeover_after beyond; pids of other machines and containers mean nothing here.
struct ClientDirHistory {
  bool seen_alive = false;  ///< its producer was seen here, so that its end is known and no guess
  bool taken = false;       ///< it is ours, and was not written since: what is acknowledged is our doing
};
ClientDirVerdict judge_client_dir(const ClientDirFacts& facts, ClientDirHistory history, const ClientDirRules& rules);

}  // namespace neptune::sources

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "client/lib/types.h"
#include "server/server.h"
#include "sources/watch_folder.h"

/// What a diagnosis makes of the box and of the way to a server, whether or not a daemon runs: a line each, with what
/// to do where something is wrong.
namespace neptune::engine {

struct ServerSlot;
using Checks = std::vector<api::Check>;

/// Files and rights of the state directory as they are.
void check_state_dir(Checks& checks, const std::filesystem::path& dir);

struct DiskRoom {
  std::uint64_t free = 0;
  std::uint64_t kept_free = 0;  ///< [queue] min_free_disk; 0: no bound
  bool full = false;            ///< the engine met the end of it
};
void check_room(Checks& checks, const std::filesystem::path& dir, const DiskRoom& room);

/// What the machine lets this process have, but for what only a daemon that runs has. `daemon`: what it is called, "the
/// daemon".
void check_limits(Checks& checks, std::string_view daemon);

/// A watched folder, as the API tells of it. Before they were `scanned` nobody knows what is in them.
api::SourceStatus view_of(const sources::WatchState& folder, bool scanned);
/// Watched folders, and sources that are set aside or were removed before they were synced; and that none is watched.
void check_sources(Checks& checks, const std::vector<api::SourceStatus>& sources);

/// That a server cannot be asked at all, as of what is set for it.
api::Check cannot_be_asked(const ServerSlot& slot, const std::string& whose);
/// The steps of the way to a server, anew; of one that is not there the token that it lacks.
boost::asio::awaitable<std::vector<server::Step>> way_to(ServerSlot slot);
/// `whose`: the workspace, when it has a token of its own; else empty.
void check_way(Checks& checks, const std::vector<server::Step>& steps, const std::string& whose,
               const std::string& token_remedy);
/// The name of a check of a server, or its token, whose it is.
std::string check_of(std::string_view what, const std::string& whose);

}  // namespace neptune::engine

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "client/lib/types.h"
#include "engine/diagnosis.h"
#include "server/server.h"
#include "support/clock.h"

/// The lines of a diagnosis that a running daemon alone asks for, and the pieces of the others.
namespace neptune::engine {

/// So near its bound that hardly anything fits.
constexpr bool is_full(std::uint64_t bytes, std::uint64_t max_bytes) {
  return bytes >= max_bytes - max_bytes / 100;
}
/// `bytes` of at most `max_bytes` wait in the change queue.
void check_queue(Checks& checks, std::uint64_t bytes, std::uint64_t max_bytes);

/// Of something that the kernel lets one user have so many of.
struct Used {
  std::uint64_t now = 0, most = 0;
};
void check_inotify(Checks& checks, Used watches, Used instances);
/// As they are for this process; none where /proc does not tell.
std::optional<std::pair<Used, Used>> inotify_use();

void check_files(Checks& checks, std::uint64_t most_open, std::string_view daemon);
/// Who has a log open is told by other users' entries in /proc: whether the two that matter can be read.
void check_processes(Checks& checks, bool locks, bool others, std::string_view daemon);

/// What goes nowhere until somebody mends it on the server.
void check_stuck(Checks& checks, const std::vector<api::Stuck>& stuck);

/// Workspaces and projects whose writes wait, read-only or held: a line each, or one that there is none.
void check_modes(Checks& checks, const std::vector<api::WorkspaceStatus>& workspaces, WallTime now);

/// A watched folder, or a source that is set aside, or was removed before it was synced.
void check_source(Checks& checks, const api::SourceStatus& source);

/// A step on the way to a server; `whose`: of which workspace, when it has a token of its own. `token_remedy`: how a
/// new token reaches the daemon.
void check_step(Checks& checks, const server::Step& step, const std::string& whose, std::string_view token_remedy);

}  // namespace neptune::engine

#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/types.h"
#include "sources/source.h"

namespace neptune::engine {

/// A scope whose writes wait: it is read-only, or held, or both.
struct Closed {
  Scope scope{};
  bool read_only = false;
  std::string reason{}, probe{};         ///< of one that is read-only: why, and when it is asked about ("in 5 s")
  std::optional<std::string> held_by{};  ///< of one that is held
};

/// A sentence for each thing that keeps it closed, without the last full stop: the holds first, which somebody can end.
std::string why(const std::vector<Closed>& closed);

/// What is known of a stream that waits.
struct Waiting {
  core::Wait wait = core::Wait::nothing;
  ContainerName container{};
  sources::Kind kind = sources::Kind::run_log;
  bool left_to_client = false;  ///< the client's own sync process has its source
  std::string unread{};         ///< why its source could not be read just now
  std::optional<ContainerName> fork_parent{};
  std::string trouble{};     ///< of the last try
  bool lacks_token = false;  ///< that is all its trouble
  bool cannot_ask = false;   ///< likewise: what is set for the server cannot be used
  std::string when{};        ///< "in 5 s", "now": when it moves by itself
  /// Of one that is being sent, where that is worth a word.
  std::optional<std::chrono::seconds> unanswered{};
  std::vector<Closed> closed{};  ///< of one that waits for a mode: its workspace, its project
};

/// Why it waits, in a sentence without its full stop; empty when nothing waits.
std::string why(const Waiting& waiting);

}  // namespace neptune::engine

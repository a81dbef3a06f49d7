#pragma once

#include <optional>
#include <string>

#include "core/types.h"
#include "sources/source.h"

namespace neptune::engine {

/// What is known of a stream that waits. Of the scope whose mode it waits for: why it is read-only, and who holds it.
struct Waiting {
  core::Wait wait = core::Wait::nothing;
  ContainerName container{};
  sources::Kind kind = sources::Kind::run_log;
  bool left_to_client = false;  ///< the client's own sync process has its source
  std::string unread{};         ///< why its source could not be read just now
  std::optional<ContainerName> fork_parent{};
  std::string trouble{};  ///< of the last try
  std::string when{};     ///< "in 5 s", "now": when it moves by itself
  std::string reason{}, held_by{};
};

/// Why it waits, in a sentence without its full stop; empty when nothing waits.
std::string why(const Waiting& waiting);

/// The scope whose mode it waits for; none where that is not why.
std::optional<Scope> waits_for_mode_of(core::Wait wait, const ProjectName& project);

}  // namespace neptune::engine

#include "core/types.h"

#include <algorithm>
#include <utility>

namespace neptune::core {

Tally& Tally::operator+=(const Tally& other) {
  pending += other.pending;
  held += other.held;
  in_flight += other.in_flight;
  bytes += other.bytes;
  held_bytes += other.held_bytes;
  return *this;
}

Tally& Tally::operator-=(const Tally& other) {
  pending -= other.pending;
  held -= other.held;
  in_flight -= other.in_flight;
  bytes -= other.bytes;
  held_bytes -= other.held_bytes;
  return *this;
}

std::vector<Outcome> outcomes_of(StreamId stream, const Sent& sent, std::vector<Refusal> refused) {
  const auto stored = sent.count - std::min<std::uint64_t>(refused.size(), sent.count);
  std::vector<Outcome> outcomes;
  if (stored > 0) {
    outcomes.emplace_back(Settle{stream, sent.last, stored, sent.create, std::move(refused)});
    return outcomes;
  }
  for (auto& [position, code, reason, part] : refused)
    outcomes.emplace_back(Reject{stream, position, sent.create, std::move(code), std::move(reason), std::move(part)});
  return outcomes;
}

std::string_view word(Wait wait) {
  switch (wait) {
    case Wait::nothing:
      break;
    case Wait::turn:
      return "turn";
    case Wait::sending:
      return "sending";
    case Wait::unconfirmed:
      return "unconfirmed";
    case Wait::counting:
      return "counting";
    case Wait::paused:
      return "paused";
    case Wait::earlier_source:
      return "earlier_source";
    case Wait::parent:
      return "parent";
    case Wait::discovery:
      return "discovery";
    case Wait::project:
      return "project";
    case Wait::earlier_change:
      return "earlier_change";
    case Wait::retry:
      return "retry";
    case Wait::server:
      return "server";
    case Wait::workspace_mode:
      return "workspace_mode";
    case Wait::project_mode:
      return "project_mode";
    case Wait::workspace_held:
      return "workspace_held";
    case Wait::project_held:
      return "project_held";
    case Wait::ramp:
      return "ramp";
  }
  return "nothing";
}

}  // namespace neptune::core

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/lib/types.h"

namespace neptune::client {

/// What was there at one moment: of a log, all that was logged until then and nothing later, so that it is reached
/// beside a job that goes on logging. Of what was handed in over the socket, whatever waits.
class Mark {
 public:
  /// At each look: what is meant of the sources and the streams. True once all that was there at the first look is
  /// dealt with.
  bool is_reached(const std::vector<api::SourceStatus>& sources, const api::StreamList& list);
  /// At the last look, a log was yet to be read by the daemon, of which no event tells.
  bool awaits_reading() const { return unread_; }
  /// What is there at the next look counts.
  void forget() { *this = {}; }

 private:
  void take(const std::set<std::string>& there, std::int64_t at);
  bool is_dealt_with(const api::Stream& stream);

  std::optional<std::int64_t> at_;  // StreamList::asked_at
  std::set<std::string> sources_;   // those that were there
  std::set<std::string> open_;      // of these, what was not dealt with at the last look
  bool unread_ = false;
  std::map<std::string, std::int64_t> positions_;  // by stream: what is to be dealt with
};

}  // namespace neptune::client

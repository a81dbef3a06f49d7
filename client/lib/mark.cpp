#include "client/lib/mark.h"

#include <algorithm>

namespace neptune::client {

namespace {

bool has_ended(const api::Stream& stream) {
  return stream.state == "done" || stream.state == "lost";
}

bool is_to_be_read(const api::Stream& stream) {
  return stream.waiting_for == "lookup" || stream.waiting_for == "counting" || stream.waiting_for == "source";
}

/// Else it was handed in, or is tried again.
bool is_log(const api::Stream& stream) {
  return stream.source.starts_with('/');
}

}  // namespace

bool Mark::is_reached(const std::vector<api::SourceStatus>& sources, const api::StreamList& list) {
  std::set<std::string> there, passed;
  for (const auto& source : sources) {
    there.insert(source.path);
    // Their client syncs them, or nothing of them goes until somebody mends them, which is told elsewhere.
    if (source.state == "left_to_client" || source.state == "set_aside") passed.insert(source.path);
  }
  for (const auto& stream : list.streams)
    if (!has_ended(stream)) there.insert(stream.source);
  // One that went before it was done may be found again, as a log that was moved.
  const auto is_gone = [&there](const std::string& source) { return !there.contains(source); };
  if (!at_ || std::ranges::any_of(open_, is_gone)) take(there, list.asked_at);
  open_.clear();
  unread_ = false;
  const auto counts = [&](const std::string& source) { return sources_.contains(source) && !passed.contains(source); };
  for (const auto& source : sources)
    if ((source.state == "settling_in" || source.state == "blocked") && counts(source.path)) open_.insert(source.path);
  for (const auto& stream : list.streams)
    if (!has_ended(stream) && counts(stream.source) && !is_dealt_with(stream)) open_.insert(stream.source);
  return open_.empty();
}

void Mark::take(const std::set<std::string>& there, std::int64_t at) {
  at_ = at;
  sources_ = there;
  positions_.clear();
}

bool Mark::is_dealt_with(const api::Stream& stream) {
  const bool known = stream.known_through && stream.done_through && stream.known_at;
  const auto position = positions_.find(stream.id);
  unread_ |= is_log(stream) && position == positions_.end() && (!known || *stream.known_at < *at_);
  if (!known)
    return !is_log(stream) && !is_to_be_read(stream) && stream.state != "unconfirmed" &&
           stream.pending + stream.held + stream.in_flight + stream.uploads == 0;
  if (position != positions_.end())
    return *stream.done_through >= std::min(position->second, *stream.known_through);  // fewer: another log's
  if (*stream.known_at < *at_) return false;
  positions_[stream.id] = *stream.known_through;
  return *stream.done_through >= *stream.known_through;
}

}  // namespace neptune::client

// The server as a whole: away, busy or refusing the token; and the checks of what it was handed.
#include <algorithm>

#include "changes/limits.h"
#include "core/core.h"

namespace neptune::core {

namespace {

constexpr Duration a_moment = std::chrono::seconds(1);

}  // namespace

bool Core::available(const Server& server, Instant now) const {
  if (server.not_before && *server.not_before > now) return false;
  return server.state == ServerChanged::State::up || !server.trying;
}

std::optional<Instant> Core::next_try_of(ServerId id) const {
  const auto it = servers_.find(id);
  return it == servers_.end() ? std::nullopt : it->second.not_before;
}

void Core::server_failed(ServerId id, const Failure& failure, Instant now) {
  auto& server = servers_[id];
  server.trying = false;
  server.trouble = failure.message;
  using State = ServerChanged::State;
  const auto state = failure.kind == Failure::Kind::token_rejected ? State::token_rejected
                     : failure.kind == Failure::Kind::busy         ? State::busy
                                                                   : State::down;
  // What was out together fails together: one failure, one step of the backoff.
  if (!server.not_before || *server.not_before <= now) server.failures++;
  auto pause = backoff(options_.server, server.failures, random_);
  if (state == State::token_rejected) {
    pause = options_.token_pause;
  } else if (failure.retry_after) {
    pause = *failure.retry_after;
  }
  server.not_before = std::max(server.not_before.value_or(now), now + pause);
  timers_.set({Alarm::Of::server, id, {}}, *server.not_before);
  if (std::exchange(server.state, state) != state) actions_.emplace_back(ServerChanged{id, state, failure.message});
}

void Core::server_answered(ServerId id) {
  auto& server = servers_[id];
  server.trying = false;
  if (server.state == ServerChanged::State::up) return;
  server.state = ServerChanged::State::up;
  server.failures = 0;
  server.not_before.reset();
  server.trouble.clear();
  timers_.cancel({Alarm::Of::server, id, {}});
  actions_.emplace_back(ServerChanged{id, ServerChanged::State::up, {}});
}

/// Something waits, or is out, whose outcome shows whether the server is back.
bool Core::is_tried(ServerId id, Instant now) const {
  const auto tells = [&](const auto& each) {
    if (each.second.spec.server != id) return false;
    const auto wait = verdict(each.second, now).wait;
    return wait == Wait::turn || wait == Wait::sending || wait == Wait::unconfirmed || wait == Wait::retry ||
           wait == Wait::server || wait == Wait::ramp;
  };
  return std::ranges::any_of(streams_, tells);
}

void Core::meet(ServerId id, Instant now) {
  actions_.emplace_back(AskServer{id});
  schedule(now);
}

/// Of a server that is not known to be up. What is tried today may be gone before it shows anything: so this is looked
/// at again as long as nothing did.
void Core::ask_server(ServerId id, Instant now) {
  auto& server = servers_[id];
  if (stopping_ || server.state == ServerChanged::State::up) return;
  const bool asked = available(server, now) && !is_tried(id, now);
  if (asked) actions_.emplace_back(AskServer{id});
  server.trying = server.trying || asked;
  timers_.set({Alarm::Of::server, id, {}}, std::max(server.not_before.value_or(now), now + options_.server.max));
}

/// What would have shown whether the server is back may be gone. Not for each of a thousand that go at once.
void Core::ask_server_soon(ServerId id, Instant now) {
  const auto it = servers_.find(id);
  if (it == servers_.end() || it->second.state == ServerChanged::State::up) return;
  timers_.advance({Alarm::Of::server, id, {}}, std::max(it->second.not_before.value_or(now), now + a_moment));
}

void Core::server_told(const AskServer& ask, const Answer<void>& answer, Instant now) {
  if (answer) {
    server_answered(ask.server);
  } else if (answer.error().kind == Failure::Kind::source) {
    servers_[ask.server].trying = false;
  } else {
    server_failed(ask.server, answer.error(), now);
  }
  schedule(now);
}

// Checks

/// An earlier one stays: what is sent meanwhile must not push it back for ever.
void Core::arm_check(const CheckKey& key, Instant at) {
  auto& due = checks_[key].due;
  if (due && *due <= at) return;
  due = at;
  timers_.set({Alarm::Of::check, key.first, key.second}, at);
}

void Core::await_check(Stream& stream, Instant now) {
  const CheckKey key{stream.spec.server, stream.spec.container.project};
  auto& checks = checks_[key];
  checks.waiting.insert(stream.spec.id);
  checks.interval = options_.check_first;
  if (!checks.out) arm_check(key, now + checks.interval);
}

void Core::forget_check(Stream& stream) {
  if (stream.phase != Phase::unconfirmed) return;
  const auto it = checks_.find({stream.spec.server, stream.spec.container.project});
  if (it != checks_.end()) it->second.waiting.erase(stream.spec.id);
}

void Core::check_due(const CheckKey& key, Instant now) {
  const auto it = checks_.find(key);
  if (it == checks_.end() || it->second.out) return;
  auto& checks = it->second;
  checks.due.reset();
  if (checks.waiting.empty()) {
    checks_.erase(it);
    return;
  }
  auto& server = servers_[key.first];
  if (!available(server, now)) {
    arm_check(key, std::max(server.not_before.value_or(now), now + checks.interval));
    return;
  }
  server.trying = server.state != ServerChanged::State::up;
  Check check{key.first, key.second, {}, {}};
  auto next = checks.waiting.upper_bound(checks.asked_last);
  while (check.ids.size() < std::min(limits::check_ids, checks.waiting.size())) {
    if (next == checks.waiting.end()) next = checks.waiting.begin();
    check.streams.push_back(*next);
    check.ids.push_back(streams_.at(*next).request_id);
    checks.asked_last = *next++;
  }
  checks.out = true;
  actions_.emplace_back(std::move(check));
}

void Core::checked(const Check& check, const std::vector<RequestStatus>& statuses, Instant now) {
  server_answered(check.server);
  const CheckKey key{check.server, check.project};
  checks_[key].out = false;
  for (std::size_t i = 0; i < check.ids.size() && i < statuses.size(); ++i) {
    auto* stream = find(check.streams[i]);
    if (!stream || stream->phase != Phase::unconfirmed || stream->request_id != check.ids[i]) continue;
    if (!statuses[i].pending) {
      judge(*stream, statuses[i], now);
    } else if (now - stream->unconfirmed_since > options_.unconfirmed_max) {
      retry(*stream, {"the server took the request but never processed it; it is sent again"}, options_.retry, now);
    }
  }
  if (auto& checks = checks_[key]; checks.waiting.empty()) {
    checks_.erase(key);
  } else {
    checks.interval = std::min(options_.check_max, checks.interval * 3 / 2);
    arm_check(key, now + checks.interval);
  }
  schedule(now);
}

std::optional<Sent> Core::carried_alone(StreamId id, const std::string& request_id) const {
  const auto it = streams_.find(id);
  if (it == streams_.end()) return std::nullopt;
  const auto& stream = it->second;
  const bool out = stream.phase == Phase::unconfirmed && !stream.closing && stream.request_id == request_id;
  if (!out || stream.request.count != 1) return std::nullopt;
  return stream.request;
}

void Core::check_failed(const Check& check, const Failure& failure, Instant now) {
  using Kind = Failure::Kind;
  const CheckKey key{check.server, check.project};
  auto& checks = checks_[key];
  checks.out = false;
  checks.interval = std::min(options_.retry.max, std::max(options_.check_max, checks.interval * 2));
  arm_check(key, now + checks.interval);
  if (failure.kind == Kind::unreachable || failure.kind == Kind::busy || failure.kind == Kind::token_rejected) {
    server_failed(check.server, failure, now);
  } else {
    server_answered(check.server);
    // The server does not know these requests (any more): what they carried is sent again, which is idempotent.
    const bool forgotten = failure.kind == Kind::rejected || failure.kind == Kind::too_large;
    for (std::size_t i = 0; i < check.ids.size(); ++i) {
      auto* stream = find(check.streams[i]);
      if (!stream || stream->phase != Phase::unconfirmed || stream->request_id != check.ids[i]) continue;
      if (forgotten) {
        retry(*stream, {failure.message}, options_.retry, now);
      } else {
        stream->trouble = Trouble{failure.message};
      }
    }
    if (failure.kind == Kind::read_only) {
      read_only(failure.scope_is_project ? Scope::of(check.project) : Scope::of(check.project.workspace), failure, 0,
                now);
    }
  }
  schedule(now);
}

}  // namespace neptune::core

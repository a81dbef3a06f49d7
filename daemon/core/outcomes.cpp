// What the answers to a request mean for its stream and for the scopes above it.
#include <fmt/format.h>

#include <algorithm>

#include "changes/limits.h"
#include "core/core.h"
#include "core/findings.h"
#include "support/sizes.h"

namespace neptune::core {

namespace {

constexpr std::uint32_t barred_after = 3;  // attempts: a right that was just given may take a moment
constexpr BackoffLimits parent_retry{std::chrono::seconds(1), std::chrono::seconds(4)};

std::string storage(std::int64_t bytes) {
  return size_text(static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0)));
}

std::string details(const WorkspaceStatus& status) {
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  // None available says that the limit is reached, and not by how much it is passed.
  if (status.storage_limit && status.storage_available == 0)
    add(fmt::format("none of {} storage left", storage(*status.storage_limit)));
  else if (status.storage_limit && status.storage_available)
    add(fmt::format("{} of {} storage used", storage(*status.storage_limit - *status.storage_available),
                    storage(*status.storage_limit)));
  if (status.active_projects) add(number_of(static_cast<std::uint64_t>(*status.active_projects), "active project"));
  if (status.monitoring_seconds_available)
    add(number_of(static_cast<std::uint64_t>(std::max<std::int64_t>(*status.monitoring_seconds_available / 3600, 0)),
                  "monitoring hour") +
        " left");
  if (!status.subscription.empty()) add("subscription " + status.subscription);
  return text;
}

std::string unknown_parent(const ContainerName& parent) {
  return fmt::format("the server does not know the run {} of {}, which it is a fork of", parent.id,
                     parent.project.full());
}

std::string sentence(const Findings& found, const RequestStatus& status) {
  auto text = fmt::format("the server refused it with {}", name(found.worst));
  if (found.refused < found.total)
    text += fmt::format(" ({} of {} values; the others were stored)", found.refused, found.total);
  if (!status.message.empty()) text += ": " + status.message;
  return text;
}

}  // namespace

/// The stream whose Send came to its end, its place given back; null when none of it was out.
Core::Stream* Core::send_ended(StreamId id) {
  auto* stream = find(id);
  if (!stream || stream->phase != Phase::sending) return nullptr;
  line_of(*stream).sending--;
  return stream;
}

void Core::sent(StreamId id, Sent sent, std::string request_id, Instant now) {
  auto* stream = send_ended(id);
  if (!stream) return;
  server_answered(stream->spec.server);
  if (stream->closing) {
    drop(*stream, now);
  } else {
    stream->request = sent;
    stream->ambiguous = false;
    if (!stream->told_by_check) {
      stuck_.erase(id);  // the server took it after all
      stream->trouble.reset();
    }
    stream->doubts = 0;
    stream->request_id = std::move(request_id);
    stream->phase = Phase::unconfirmed;
    stream->unconfirmed_since = now;
    retally(*stream);
    await_check(*stream, now);
  }
  schedule(now);
}

void Core::failed(StreamId id, std::optional<Sent> sent, Failure failure, Instant now) {
  if (failure.kind == Failure::Kind::called_off) return put_back(id, now);
  auto* stream = send_ended(id);
  if (!stream) return;
  stream->told_by_check = false;
  const auto blame = whose_fault(*stream, failure);
  if (blame.sizes_tell && sent && sent->count > 1) stream->limit = (sent->count + 1) / 2;
  tell_server(*stream, failure, blame, now);
  if (stream->closing) {
    drop(*stream, now);
  } else {
    if (sent) stream->request = *sent;
    if (failure.kind != Failure::Kind::ambiguous_limit) stream->doubts = 0;
    stream->ambiguous = false;
    take_failure(*stream, sent.has_value(), failure, blame, now);
  }
  schedule(now);
}

/// Who is to step back: the server with all its streams, or this one alone.
Core::Blame Core::whose_fault(Stream& stream, const Failure& failure) {
  using Kind = Failure::Kind;
  Blame blame;
  blame.server_is_up = servers_[stream.spec.server].state == ServerChanged::State::up;
  blame.at_once = failure.retry_after && failure.retry_after->count() == 0;
  // A gateway says so of a request that takes too long, too: smaller ones find that out, whosever fault it is.
  blame.sizes_tell = failure.kind == Kind::busy && !blame.at_once && ++stream.busy >= 3;
  blame.no_answer = failure.kind == Kind::unreachable || failure.kind == Kind::token_rejected ||
                    (failure.kind == Kind::busy && !blame.at_once && !(blame.sizes_tell && blame.server_is_up));
  return blame;
}

void Core::tell_server(Stream& stream, const Failure& failure, const Blame& blame, Instant now) {
  const auto server = stream.spec.server;
  if (blame.no_answer) {
    server_failed(server, failure, now);
    // What it said of the stream before need not be so any more: the next answer tells.
    stuck_.erase(stream.spec.id);
    stream.trouble.reset();
  } else if (failure.kind == Failure::Kind::source) {
    servers_[server].trying = false;
  } else {
    server_answered(server);
  }
}

namespace {

Trouble trouble_of(const Failure& failure) {
  if (failure.code == "project_not_found") return {failure.message, Lacks::project};
  if (failure.code == "run_not_found") return {failure.message, Lacks::run};
  if (failure.code == "model_not_found") return {failure.message, Lacks::model};
  return {failure.message};
}

}  // namespace

/// What the failure means for the stream. `sent`: something of it was read, and went out.
void Core::take_failure(Stream& stream, bool sent, const Failure& failure, const Blame& blame, Instant now) {
  using Kind = Failure::Kind;
  switch (failure.kind) {
    case Kind::unreachable:
      // The first failure of a server that served others may be this request's own fault: it steps back for a while.
      if (blame.server_is_up) return retry(stream, trouble_of(failure), options_.retry, now);
      return back(stream, now);
    case Kind::busy:
      if ((blame.at_once && ++stream.attempts > 3) || (blame.sizes_tell && blame.server_is_up))
        return retry(stream, trouble_of(failure), options_.retry, now);
      return back(stream, now);
    case Kind::token_rejected:
      return back(stream, now);
    case Kind::server_error:
    case Kind::source:
    case Kind::called_off:  // taken back before
      return try_again(stream, failure, now);
    case Kind::forbidden:
      // What it is for may have been made a moment ago.
      if (says_missing(failure) && stream.attempts < barred_after)
        return retry(stream, trouble_of(failure), options_.retry, now);
      return bar(stream, trouble_of(failure), now);
    case Kind::read_only:
      return sent_back(stream, failure, now);
    case Kind::ambiguous_limit:
      stream.ambiguous = sent;
      gates_.doubted(stream.spec.id);
      retry(stream, trouble_of(failure), options_.retry, now);
      return ask_status(stream.spec.container.project.workspace, now);
    case Kind::too_large:
    case Kind::rejected:
      if (sent && !speaks_of_the_route(failure)) return refuse(stream, failure.code, failure.message, now);
      return bar(stream, trouble_of(failure), now);
  }
}

/// After a failure of the server at this request, or of its source.
void Core::try_again(Stream& stream, const Failure& failure, Instant now) {
  // Smaller requests find out which change the server stumbles over, and let the others pass. Of files only their
  // signing is such a request, which is the same for all of them.
  const bool files = carries(stream.spec.container.kind) == Carries::files;
  if (failure.kind == Failure::Kind::server_error && stream.attempts >= 2 && stream.request.count > 1 && !files)
    stream.limit = (stream.request.count + 1) / 2;
  retry(stream, trouble_of(failure), options_.retry, now);
  // Of an object store, which asks for a pause of the files alone.
  if (failure.retry_after) stream.not_before = std::max(*stream.not_before, now + *failure.retry_after);
}

/// By a scope that takes no writes.
void Core::sent_back(Stream& stream, const Failure& failure, Instant now) {
  const auto& project = stream.spec.container.project;
  read_only(failure.scope_is_project ? Scope::of(project) : Scope::of(project.workspace), failure, stream.spec.id, now);
  // A removal passes the gate, so the gate cannot hold it back when the server refuses even that.
  if (stream.backlog.frees_next) {
    bar(stream, trouble_of(failure), now);
  } else {
    back(stream, now);
  }
}

void Core::stored(StreamId id, Sent sent, std::vector<Refusal> refused, Instant now) {
  auto* stream = send_ended(id);
  if (!stream) return;
  // What was refused as a whole may never have left here: it tells nothing of the server, nor of the mode. Files surely
  // did not: that the server took the first is told before (`taken`).
  const bool taken = refused.size() < sent.count;
  if (taken)
    server_answered(stream->spec.server);
  else
    servers_[stream->spec.server].trying = false;
  if (!taken && carries(stream->spec.container.kind) == Carries::files) not_made(id, now);
  if (stream->closing) {
    drop(*stream, now);
    schedule(now);
    return;
  }
  stream->request = sent;
  const bool frees = stream->backlog.frees_next;
  if (!frees && taken) write_was_taken(*stream, now);
  tell_stored(id, sent, std::move(refused));
  widen(*stream);
  const auto project = stream->spec.container.project;
  advance(*stream, now);
  // Room may have been made: ask at once instead of at the next probe.
  if (frees && taken)
    for (const auto& scope : {Scope::of(project.workspace), Scope::of(project)}) gates_.probe_now(scope, now);
  time_passed(now);
}

void Core::tell_stored(StreamId id, const Sent& sent, std::vector<Refusal> refused) {
  for (auto& outcome : outcomes_of(id, sent, std::move(refused)))
    std::visit([this](auto& told) { actions_.emplace_back(std::move(told)); }, outcome);
}

/// The stream whose Send is out, and still wanted.
Core::Stream* Core::being_sent(StreamId id) {
  auto* stream = find(id);
  return stream && stream->phase == Phase::sending && !stream->closing ? stream : nullptr;
}

void Core::begun(StreamId id, Sent batch, Instant) {
  auto* stream = being_sent(id);
  if (!stream) return;
  stream->request = batch;
  retally(*stream);
}

void Core::taken(StreamId id, Instant now) {
  auto* stream = being_sent(id);
  if (!stream) return;
  server_answered(stream->spec.server);
  write_was_taken(*stream, now);
  schedule(now);
}

void Core::stored_so_far(StreamId id, Sent sent, std::vector<Refusal> refused, Instant now) {
  auto* stream = being_sent(id);
  if (!stream) return;
  tell_stored(id, sent, std::move(refused));
  move_on(*stream, sent);
  auto& request = stream->request;
  request.count -= std::min(sent.count, request.count);
  request.bytes -= std::min(sent.bytes, request.bytes);
  stream->attempts = stream->busy = 0;
  retally(*stream);
  ready_dependents(stream->spec.container);
  schedule(now);
}

void Core::put_back(StreamId id, Instant now) {
  auto* stream = send_ended(id);
  if (!stream) return;
  not_made(id, now);
  servers_[stream->spec.server].trying = false;
  if (stream->closing) {
    drop(*stream, now);
  } else {
    back(*stream, now);
  }
  schedule(now);
}

bool Core::discard(StreamId id, Position last, std::uint64_t count, Instant now) {
  auto* stream = find(id);
  if (!stream || stream->closing || stream->phase != Phase::idle) return false;
  const auto all = std::max<std::uint64_t>(1, stream->backlog.count);
  stream->request = {last, count, stream->backlog.bytes * std::min(count, all) / all, stream->backlog.create_next};
  stream->suspects = stream->limit = 0;
  advance(*stream, now);
  schedule(now);
  return true;
}

void Core::nothing_to_send(StreamId id, Instant now) {
  auto* stream = send_ended(id);
  if (!stream) return;
  not_made(id, now);
  servers_[stream->spec.server].trying = false;
  if (stream->closing) {
    drop(*stream, now);
  } else {
    keep_dependent(*stream, false);
    stream->backlog = {};
    back(*stream, now);
  }
  schedule(now);
}

void Core::judge(Stream& stream, const RequestStatus& status, Instant now) {
  const auto found = examine(status);
  const auto& container = stream.spec.container;
  stream.told_by_check = true;
  if (found.suspended) {
    const auto reason =
        status.message.empty() ? std::string("the server suspends writes (INGEST_SUSPENDED)") : status.message;
    apply(gates_.suspect(container.project, reason, stream.spec.id, now), now);
    back(stream, now);
  } else if (found.broken || found.total == 0) {
    retry(stream, {"the server failed to process the request; it is sent again"}, options_.retry, now);
  } else if (found.refused == 0 && !status.differs_code.empty()) {
    write_was_taken(stream, now);
    refuse(stream, status.differs_code, status.differs_reason, now);
  } else if (found.refused == 0) {
    write_was_taken(stream, now);
    confirm(stream, now);
  } else if (stream.request.create && found.worst == IngestCode::run_fork_parent_not_found) {
    const auto& parent = stream.backlog.fork_parent;
    orphaned(stream, name(found.worst), parent ? unknown_parent(*parent) : sentence(found, status), now);
  } else if (found.worst == IngestCode::project_not_found) {
    workspace_answered(stream, now);
    bar(stream,
        {fmt::format("the server does not know the project {}; create it, or see that the token may use it",
                     container.project.full()),
         Lacks::project},
        now);
  } else if (found.worst == IngestCode::project_invalid_name) {
    workspace_answered(stream, now);
    bar(stream,
        {fmt::format(
            "the server refuses the project name {}: it must have {} to {} characters, none of them / \\ # ? % : "
            "or an emoji",
            container.project.full(), limits::project_name_min, limits::project_name_max)},
        now);
  } else if (!stream.request.create && found.only_run_missing) {
    workspace_answered(stream, now);
    Trouble trouble{
        fmt::format("the server does not know the run {}; it was not created there, or was deleted", container.id),
        Lacks::run};
    if (stream.attempts < barred_after)
      retry(stream, std::move(trouble), options_.retry, now);
    else
      bar(stream, std::move(trouble), now);
  } else {
    write_was_taken(stream, now);
    refuse(stream, name(found.worst), sentence(found, status), now, status.refused_part);
  }
}

void Core::confirm(Stream& stream, Instant now) {
  const auto count = stream.request.count;
  actions_.emplace_back(Settle{stream.spec.id, stream.request.last, count, stream.request.create});
  if (stream.suspects > 0) {
    // What was sent held none of the refused ones, so the rest of the suspects holds one: halve that.
    stream.suspects -= std::min(count, stream.suspects);
    stream.limit = (stream.suspects + 1) / 2;
  } else {
    widen(stream);
  }
  advance(stream, now);
}

void Core::refuse(Stream& stream, const std::string& code, const std::string& reason, Instant now,
                  const std::string& part) {
  const auto count = stream.request.count;
  if (count > 1) {
    stream.suspects = count;
    stream.limit = (count + 1) / 2;
    stream.trouble = Trouble{reason};
    back(stream, now);
    return;
  }
  actions_.emplace_back(Reject{stream.spec.id, stream.request.last, stream.request.create, code, reason, part});
  // What follows may be refused, too: were it sent whole each time, many refusals would cost the square of their
  // number.
  stream.suspects = 0;
  stream.limit = 1;
  advance(stream, now);
}

/// After a request that went well: twice as much the next time, up to the usual size.
void Core::widen(Stream& stream) {
  stream.limit *= 2;
  if (stream.limit >= options_.batch_operations) stream.limit = 0;
}

void Core::move_on(Stream& stream, const Sent& request) {
  stream.spec.confirmed = request.last;
  stream.backlog.count -= std::min(request.count, stream.backlog.count);
  stream.backlog.bytes -= std::min(request.bytes, stream.backlog.bytes);
  // What stands first now, and what that needs, is for the driver to say.
  if (stream.backlog.ticket != 0 && stream.backlog.count > 0) stream.backlog_known = false;
}

/// Past the request that was out: it is settled, or recorded as rejected.
void Core::advance(Stream& stream, Instant now) {
  const auto request = stream.request;
  move_on(stream, request);
  stream.attempts = stream.busy = 0;
  stuck_.erase(stream.spec.id);
  stream.ambiguous = stream.barred = false;
  stream.doubts = 0;
  stream.trouble.reset();
  stream.not_before.reset();
  stream.orphan_since.reset();
  if (request.create) {
    stream.backlog.create_next = false;
    keep_dependent(stream, false);
    stream.backlog.fork_parent.reset();
    keep_dependent(stream, true);
  }
  back(stream, now);
  // What failed for want of the container needs to wait no longer, and is not to be passed by a removal.
  for (auto* sibling : streams_of(stream.spec.container)) {
    if (!request.create && !sibling->barred) continue;
    sibling->not_before.reset();
    stuck_.erase(sibling->spec.id);
    if (std::exchange(sibling->barred, false)) sibling->attempts = 0;
  }
  if (request.create) try_forks_of(stream.spec.container);
}

/// A refusal for want of it that is on its way says nothing any more.
void Core::try_forks_of(const ContainerName& parent) {
  if (const auto forks = forks_.find(parent); forks != forks_.end())
    for (const auto id : forks->second) streams_.at(id).orphan_since.reset();
  ready_forks_of(parent);
}

void Core::orphaned(Stream& stream, const std::string& code, const std::string& reason, Instant now) {
  if (stream.backlog.fork_parent && left_to_its_client(*stream.backlog.fork_parent)) {
    stream.orphan_since.reset();
    return retry(stream, {reason}, options_.retry, now);
  }
  if (!stream.orphan_since) stream.orphan_since = now;
  if (now - *stream.orphan_since >= options_.parent_patience) {
    write_was_taken(stream, now);
    refuse(stream, code, reason, now);
  } else {
    retry(stream, {reason}, parent_retry, now);
  }
}

/// Back to where it was before it was sent, at no cost.
void Core::back(Stream& stream, Instant now) {
  forget_check(stream);
  stream.phase = Phase::idle;
  retally(stream);
  ready_container(stream.spec.container);  // others of it may be first now, or pass
  gates_.unconfirmed(stream.spec.id, now);
  ready_dependents(stream.spec.container);  // for which it is done with, held, or barred now
  if (stream.barred) ready_what_passes(stream);
}

/// While it was out it might have come through: now no removal waits for what waits for it.
void Core::ready_what_passes(const Stream& barred) {
  const auto& [project, id, kind] = barred.spec.container;
  if (kind == ContainerKind::run) ready_dependents({project, id, ContainerKind::files});
  if (creating_projects_.contains(barred.spec.id)) ready_scope(Scope::of(project));
}

/// Its write did not go out: another stream of the scope may confirm.
void Core::not_made(StreamId id, Instant now) {
  for (const auto& scope : gates_.not_made(id)) {
    ready_scope(scope);
    // Where none waits any more, as that stream was closed, nothing else tells either.
    if (!writes_wait(scope)) gates_.probe_soon(scope, now);
  }
}

void Core::retry(Stream& stream, Trouble trouble, BackoffLimits limits, Instant now) {
  stream.trouble = std::move(trouble);
  stream.not_before = now + backoff(limits, ++stream.attempts, random_);
  stuck_.erase(stream.spec.id);
  stream.barred = false;
  back(stream, now);
}

/// As `retry`; the server knows nothing that the change is for, or the token has no right to it.
void Core::bar(Stream& stream, Trouble trouble, Instant now) {
  retry(stream, std::move(trouble), options_.blocked, now);
  stuck_.insert(stream.spec.id);
  stream.barred = stream.attempts >= barred_after;
  let_create_pass(stream);
  if (stream.barred) ready_what_passes(stream);
}

// Modes

/// It was looked at and refused for a reason of its own: the workspace takes writes.
void Core::workspace_answered(const Stream& stream, Instant now) {
  for (const auto& scope : gates_.answered(stream.spec.id)) opened(scope, stream.spec.id, now);
}

void Core::write_was_taken(const Stream& stream, Instant now) {
  for (const auto& scope : gates_.confirmed(stream.spec.id)) opened(scope, stream.spec.id, now);
}

void Core::read_only(const Scope& scope, const Failure& failure, StreamId by, Instant now) {
  // Why is the server's to say; our words stand in where it says nothing.
  auto reason = failure.words.empty() ? failure.message : failure.words;
  if (gates_.enter(scope, std::move(reason), by, now)) apply({.opened = {}, .closed = {scope}}, now);
}

void Core::apply(const Gates::Effect& effect, Instant now) {
  for (const auto& scope : effect.opened) opened(scope, 0, now, !effect.at_once);
  for (const auto& scope : effect.closed) {
    closed(scope);
    ask_status(scope.workspace, now);
  }
}

void Core::closed(const Scope& scope) {
  const auto view = gates_.view(scope);
  actions_.emplace_back(ModeChanged{scope, Mode::read_only, view.reason, view.words});
  ready_scope(scope);
}

void Core::opened(const Scope& scope, StreamId confirmed_by, Instant now, bool ramped) {
  actions_.emplace_back(ModeChanged{scope, Mode::normal, {}, {}});
  std::uniform_int_distribution<Duration::rep> ramp(0, options_.gate.release_ramp.count());
  for (auto* stream : streams_of(scope)) {
    if (ramped && stream->spec.id != confirmed_by) stream->release_at = now + Duration(ramp(random_));
    retally(*stream);
    ready(*stream);
  }
}

void Core::ask_status(const std::string& workspace, Instant now) {
  const auto server = workspace_servers_[workspace];
  if (available(servers_[server], now)) {
    actions_.emplace_back(AskStatus{server, workspace});
  } else {
    gates_.status(workspace, {Gates::StatusWord::Is::unanswered, {}}, false, now);
  }
}

void Core::status_told(const AskStatus& ask, const Answer<WorkspaceStatus>& answer, Instant now) {
  using Kind = Failure::Kind;
  using Is = Gates::StatusWord::Is;
  Gates::StatusWord word{Is::unknown, {}};
  if (answer) {
    server_answered(ask.server);
    word = {answer->read_only ? Is::read_only : Is::normal, details(*answer)};
  } else if (const auto kind = answer.error().kind;
             kind == Kind::unreachable || kind == Kind::busy || kind == Kind::token_rejected) {
    server_failed(ask.server, answer.error(), now);
    word.is = Is::unanswered;
  }
  // Where the server cannot tell, a write might wait in what is not known yet.
  const bool waits = writes_wait(Scope::of(ask.workspace)) || (word.is == Is::unknown && discovering_);
  apply(gates_.status(ask.workspace, word, waits, now), now);
  const bool told = answer || (word.is == Is::unknown && answer.error().kind != Kind::server_error);
  if (told) explain_limits(ask.workspace, word.is, now);
  ready_scope(Scope::of(ask.workspace));
  schedule(now);
}

/// What bare limit answers left open. The workspace may have turned writable since: so the change itself is to blame
/// only when it was refused again, or more often where the status call can't tell.
void Core::explain_limits(const std::string& workspace, Gates::StatusWord::Is word, Instant now) {
  using Is = Gates::StatusWord::Is;
  for (auto* stream : streams_of(Scope::of(workspace))) {
    if (!stream->ambiguous || stream->phase != Phase::idle || stream->request.count == 0) continue;
    stream->ambiguous = false;
    if (word == Is::read_only) {
      stream->doubts = stream->attempts = 0;
      stream->not_before.reset();
    } else if ((stream->doubts += word == Is::normal ? 2 : 1) >= 4) {
      stream->doubts = 0;
      stream->not_before.reset();
      refuse(*stream, "http_422", stream->trouble ? stream->trouble->text : std::string(), now);
    } else if (word == Is::normal) {
      stream->not_before.reset();
    }
  }
}

}  // namespace neptune::core

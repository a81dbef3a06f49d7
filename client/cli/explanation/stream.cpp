#include "client/cli/explanation/stream.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "client/cli/explanation/cures.h"
#include "client/cli/explanation/moved.h"
#include "client/cli/explanation/sentences.h"
#include "client/cli/views.h"
#include "client/lib/names.h"

namespace neptune::cli {

namespace {

const api::SourceStatus* source_at(const api::Status& status, const std::string& path) {
  const auto at = std::ranges::find_if(
      status.sources, [&path](const auto& source) { return source.kind != "watch" && source.path == path; });
  return at == status.sources.end() ? nullptr : &*at;
}

/// Of files that were handed in, only what names them is counted.
bool counts_bytes(const api::Stream& stream) {
  return !is_files(stream) || !stream.source.starts_with(api::queue_source);
}

bool waits_for_mode(std::string_view waiting_for) {
  return waiting_for.ends_with("_mode") || waiting_for.ends_with("_held");
}

/// A scope that is held, or else read-only.
struct Closure {
  std::string scope;
  bool held = false;
};

/// All that keeps a project's writes, the holds first: they are whose words come first.
std::vector<Closure> closures(const api::Status& status, const std::string& project) {
  std::vector<Closure> held, read_only;
  const auto look = [&held, &read_only](const api::ScopeStatus& scope, std::string name) {
    if (scope.own_mode() == "read_only") read_only.push_back({name, false});
    if (scope.operator_hold || scope.own_mode() == "held") held.push_back({std::move(name), true});
  };
  for (const auto& workspace : status.workspaces) {
    if (workspace.name != workspace_of(project)) continue;
    look(workspace, workspace.name);
    for (const auto& each : workspace.projects)
      if (api::full_name(workspace, each) == project) look(each, project);
  }
  held.insert(held.end(), read_only.begin(), read_only.end());
  return held;
}

std::string what_opens(const std::vector<Closure>& closures) {
  std::vector<std::string> ways;
  for (const auto& [scope, held] : closures)
    ways.push_back(held ? fmt::format("`neptune-sync release {}` ends the hold", clean(scope))
                        : fmt::format("free space in {0}, or raise its limit (`neptune-sync probe {0}` asks the "
                                      "server at once)",
                                      clean(scope)));
  return fmt::format("All of that has to end: {}. Then it goes by itself.", fmt::join(ways, "; "));
}

/// Of a log that was removed before all of it was synced.
Explanation explain_lost(Explanation one, const api::Stream& stream) {
  one.state = sentence(stream.why);
  one.waiting_for = "lost";
  one.next = fmt::format(
      "Put a copy of it into a watched folder, if there is one. {} of it {} on the server. `{}` gives up what was "
      "lost.",
      stream.synced == 0 ? "Nothing" : changes(stream.synced), stream.synced > 1 ? "are" : "is",
      clean(api::discard_command(stream)));
  return one;
}

/// Nothing of it was stored since.
bool was_removed(const std::vector<const api::Stream*>& streams) {
  const auto& at = streams.front()->removed_at;
  return at && std::ranges::none_of(streams, [&at](const auto* stream) {
           return stream->last_synced_at && *stream->last_synced_at > *at;
         });
}

std::string removal(const api::Stream& stream, Time now) {
  return fmt::format("It was {} {} ago{}.", stream.in_trash ? "moved to the trash" : "deleted from the server",
                     since(stream.removed_at, now),
                     stream.removed_by ? fmt::format(" by change {}", *stream.removed_by) : "");
}

}  // namespace

bool is_done(const api::Stream& stream) {
  static const std::set<std::string_view> looked_into{"counting", "lookup", "source", "recording"};
  return left(stream) == 0 && stream.lost == 0 && !looked_into.contains(stream.waiting_for);
}

std::string StreamExplainer::where(const api::Stream& stream) const {
  if (stream.source.empty()) return {};
  if (is_files(stream)) return where_files(stream);
  if (stream.source.starts_with(api::queue_source))
    return left(stream) > 0 ? "In the daemon's change queue, safe on disk." : "";
  return where_of_log(stream);
}

std::string StreamExplainer::where_of_log(const api::Stream& stream) const {
  const auto* source = source_at(status_, stream.source);
  if (source && source->kind == "client-1x")
    return "In the directory of a 1.x client, " + clean(stream.source) + (stream.closed ? "." : ", still in use.");
  if (!source && stream.state != "done" && stream.state != "lost") return "In " + clean(stream.source) + ".";
  auto text = "In the run log " + clean(stream.source);
  if (stream.state == "lost") return text + ", which is gone.";
  if (stream.state == "done") return text + ", which is gone or empty.";
  text += stream.closed ? ", which nobody has open" : ", which a job still has open";
  if (source && source->read_only) text += " (another user's: read, but not emptied)";
  return text + ".";
}

Explanation StreamExplainer::explain_done(const std::vector<const api::Stream*>& streams) const {
  const auto& first = *streams.front();
  Explanation one{.subject = subject_of(first),
                  .state = {},
                  .where = is_files(first) ? std::string() : where(first),
                  .why = {},
                  .next = {}};
  api::Counts sum;
  std::optional<std::string> last;
  for (const auto* stream : streams) {
    sum.discarded += stream->discarded;
    sum.rejected_kept += stream->rejected_kept;
    last = std::max(last, stream->last_synced_at);
    if (!stream->closed && stream->state != "done") one.next = "What its job still writes is sent as it comes.";
  }
  const auto there = what_is_there(streams);
  if (add_moved(one, streams, now_)) {
    one.state += " On the server from here: " + (there.empty() ? "nothing" : there) + ".";
    return one;
  }
  one.state = nothing_waits(there, sum.rejected_kept > 0);
  if (sum.discarded > 0)
    one.state = fmt::format("Not all of it is on the server: {} thrown away, {} there.",
                            sum.discarded == 1 ? "1 change was" : changes(sum.discarded) + " were",
                            there.empty() ? "nothing is" : there);
  if (last) one.state += " The last was confirmed " + since(last, now_) + " ago.";
  if (was_removed(streams)) {
    one.state =
        removal(first, now_) + (there.empty() ? "" : " What was on the server of it until then: " + there + ".");
    one.where.clear();
    if (first.in_trash)
      one.next = fmt::format("`neptune-sync run restore {} --project {}` takes it out of the trash.",
                             clean(first.container), clean(first.project));
  }
  return one;
}

Explanation StreamExplainer::explain(const api::Stream& stream) const {
  Explanation one{.subject = subject_of(stream), .state = {}, .where = where(stream), .why = {}, .next = {}};
  if (stream.lost > 0) return explain_lost(std::move(one), stream);
  if (is_done(stream)) return explain_done({&stream});
  one.state = left(stream) > 0 ? not_there(stream, counts_bytes(stream) ? stream.pending_bytes : 0,
                                           stream.oldest_pending_at, now_, is_files(stream))
                               : "It is not known yet how much of it waits.";
  one.why = sentence(stream.why);
  for (const auto& upload : stream.active_uploads) one.why += (one.why.empty() ? "" : " ") + progress_of(upload) + ".";
  if (was_removed({&stream})) one.why += " " + removal(stream, now_);
  if (stream.missing == "project") one.why += clean(api::project_meant(stream.project, status_));
  one.next = next(stream);
  one.waiting_for = stream.waiting_for;
  return one;
}

std::string StreamExplainer::next(const api::Stream& stream) const {
  std::string next = cure(stream.waiting_for, stream.project, stream.container, is_files(stream));
  if (const auto all = closures(status_, stream.project); all.size() > 1 && waits_for_mode(stream.waiting_for))
    next = what_opens(all);
  if (stream.missing == "token") next = cure_of_token();
  if (stream.waiting_for == "server" && status_.server.problem) next = clean(status_.server.remedy.value_or(""));
  if (stream.missing == "run")
    next = cure_of_missing(
        fmt::format("neptune-sync run create {} --project {}", clean(stream.container), clean(stream.project)));
  // By its short id it cannot be created, but by its key.
  if (stream.missing == "model" && stream.container_type == "model" && !stream.container.contains('-'))
    next = cure_of_missing(
        fmt::format("neptune-sync model create {} --project {}", clean(stream.container), clean(stream.project)));
  if (stream.missing == "project") next = cure_of_missing("neptune-sync project create " + clean(stream.project));
  if (stream.waiting_for == "retry" && stream.source.starts_with(api::queue_source))
    next += fmt::format(" `{}` throws away what waits, and keeps it as rejected.", clean(api::discard_command(stream)));
  return next;
}

}  // namespace neptune::cli

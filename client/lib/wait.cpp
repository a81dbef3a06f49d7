#include "client/lib/wait.h"

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include "client/lib/json.h"
#include "client/lib/mark.h"
#include "client/lib/names.h"
#include "client/lib/numbers.h"
#include "client/lib/refusals.h"

namespace neptune::client {

namespace {

using Clock = std::chrono::steady_clock;
using Outcome = WaitResult::Outcome;
using namespace std::chrono_literals;

constexpr auto first_retry = 100ms, last_retry = 2000ms;
constexpr auto until_recorded = 20ms;  // no event tells its end, and it takes a moment
constexpr std::chrono::milliseconds until_settled{250};
constexpr std::size_t most_reasons = 5;
constexpr std::uint64_t most_looked_at =
    1000;  // of changes that wait when the time is up: as many as are asked for in a second

bool knows_project(const api::Status& status, const std::string& wanted) {
  for (const auto& workspace : status.workspaces) {
    if (workspace.name == wanted) return true;
    for (const auto& project : workspace.projects)
      if (api::full_name(workspace, project) == wanted) return true;
  }
  return false;
}

bool concerns(const WaitFor& what, const api::SourceStatus& source) {
  if (source.kind == "watch") return false;
  if (!what.run && !what.project) return true;
  // Nobody knows yet whose it is: all that may be meant is waited for.
  if (!source.project) return api::may_be_log_of(source, what.project, what.run);
  if (what.run && source.run != what.run) return false;
  return !what.project || api::within(*source.project, *what.project);
}

/// An event that names another run or project can't matter; all else may.
bool concerns(const WaitFor& what, const api::Event& event) {
  if (what.run && event.stream && *event.stream != *what.run && *event.stream != "files of " + *what.run) return false;
  if (!what.project || !event.scope) return true;
  return api::within(*event.scope, *what.project) || api::within(*what.project, *event.scope);
}

/// It may hold anything.
bool looks_through_a_folder(const api::Status& status) {
  return std::ranges::any_of(status.sources, [](const api::SourceStatus& source) {
    return source.kind == "watch" && source.state == "settling_in";
  });
}

void add_reason(std::vector<std::string>& reasons, const std::string& whose, const std::string& why) {
  const auto reason = whose + why;
  if (why.empty() || reasons.size() >= most_reasons) return;
  if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) reasons.push_back(reason);
}

void add_project(Progress& progress, const std::string& project) {
  const auto at = std::ranges::lower_bound(progress.projects, project);
  if (at == progress.projects.end() || *at != project) progress.projects.insert(at, project);
}

/// Somebody may still write to it.
bool is_open(const api::Stream& stream) {
  return !stream.closed && stream.state != "done" && stream.container_type != "files";
}

/// `of_project`: begins a reason, where it does not go without saying whose it is.
void add(Progress& progress, const api::Stream& stream, const std::string& of_project) {
  progress.seen = true;
  add_project(progress, stream.project);
  progress.pending += stream.pending;
  progress.held += stream.held;
  progress.in_flight += stream.in_flight;
  progress.synced += stream.synced;
  progress.rejected += stream.rejected_kept;
  progress.discarded += stream.discarded;
  if (stream.lost > 0)
    progress.lost.push_back(stream.why + ". `" + api::discard_command(stream) + "` gives up what was lost.");
  progress.moved_changes += stream.moved;
  // A log's files are counted with its own stream and with theirs.
  progress.uploads = std::max(progress.uploads, stream.uploads);
  progress.active_uploads.insert(progress.active_uploads.end(), stream.active_uploads.begin(),
                                 stream.active_uploads.end());
  if (is_open(stream)) ++progress.open;
  if (stream.pending + stream.held + stream.in_flight > 0) {
    add_reason(progress.why, of_project, stream.why);
  } else if (stream.state == "unconfirmed") {
    ++progress.being_recorded;
  } else if (stream.source.starts_with(api::queue_source) &&
             (stream.waiting_for == "lookup" || stream.waiting_for == "counting")) {
    ++progress.settling;  // of the queue's streams, the sources tell by project only
  }
}

/// Why a wait did not end well, or not yet.
bool is_not_synced(const api::Stream& stream, bool now) {
  const auto left = stream.pending + stream.held + stream.in_flight + stream.uploads;
  const auto gone = stream.rejected_kept + stream.discarded + stream.lost + stream.moved;
  return left + gone > 0 || stream.state == "unconfirmed" || (!now && is_open(stream));
}

/// It waits for somebody to mend its source, and not for anything that comes by itself.
bool is_set_aside(const api::Stream& stream, const api::Status& status) {
  return stream.waiting_for == "source" &&
         std::ranges::any_of(status.sources, [&stream](const api::SourceStatus& source) {
           return source.path == stream.source && source.state == "set_aside";
         });
}

/// Of a run all that is on record, as it is not known here whether it is on the server; else what left lately.
void add_moved(Progress& progress, const WaitFor& what, const api::Status& status,
               const std::vector<api::Stream>& streams) {
  std::map<std::pair<std::string, std::string>, std::uint64_t> left;  // by file and project
  if (what.run) {
    for (const auto& stream : streams)
      if (stream.moved > 0) left[{stream.moved_to, "its changes"}] += stream.moved;
  } else {
    for (const auto& moved : status.moved)
      if (!what.project || api::within(moved.project, *what.project))
        left[{moved.to, "the changes of " + moved.project}] += moved.changes;
  }
  for (const auto& [where, changes] : left)
    progress.moved.push_back(api::grouped(changes) + " of " + where.second + (changes == 1 ? " was" : " were") +
                             " moved to another machine in " + where.first + ", which sends " +
                             (changes == 1 ? "it." : "them."));
}

/// "run r1 of ml-team/lab", "ml-team"; empty: everything.
std::string name_of(const WaitFor& what) {
  const auto run = what.run ? "run " + *what.run : std::string();
  if (!what.project) return run;
  return run.empty() ? *what.project : run + " of " + *what.project;
}

/// The same at the beginning of a sentence.
std::string subject_of(const WaitFor& what) {
  auto name = name_of(what);
  if (what.run) name.front() = 'R';
  return name.empty() ? "Everything" : name;
}

std::string not_synced(const WaitFor& what) {
  return what.run || what.project ? subject_of(what) + " is not synced" : "Not everything is synced";
}

std::string count(std::uint64_t n, const std::string& one, const std::string& many) {
  return api::grouped(n) + " " + (n == 1 ? one : many);
}

bool concerns(const WaitFor& what, const api::Rejected& one) {
  if (what.run && (one.container != *what.run || (one.container_type != "run" && one.container_type != "files")))
    return false;
  return !what.project || api::within(one.project, *what.project);
}

/// What is kept as rejected, by who it was that did not take it.
struct Rejections {
  std::uint64_t refused = 0, files = 0, thrown_away = 0;
  std::uint64_t untold = 0;  ///< of these the list did not tell
  std::uint64_t all() const { return refused + files + thrown_away; }
};

void add(Rejections& found, const api::Rejected& one) {
  ++(api::thrown_away_unsent(one) ? found.thrown_away : api::not_uploaded(one) ? found.files : found.refused);
}

std::string what_was_rejected(const Rejections& found, const std::string& name) {
  const auto of = " of " + name;
  const auto all = found.all() + found.untold;
  constexpr auto why = "; `neptune-sync rejected` says why.";
  if (found.refused == all) return "The server refused " + count(all, "change", "changes") + of + " for good" + why;
  if (found.files == all) return count(all, "file", "files") + of + " could not be uploaded" + why;
  if (found.thrown_away == all)
    return count(all, "change", "changes") + of + (all == 1 ? " was" : " were") +
           " thrown away before the server had " + (all == 1 ? "it" : "them") + "; `neptune-sync rejected` lists " +
           (all == 1 ? "it." : "them.");
  std::string parts;
  const auto list = [&parts](std::uint64_t n, const std::string& one, const std::string& many) {
    if (n > 0) parts += (parts.empty() ? ": " : ", ") + count(n, one, many);
  };
  list(found.refused, "was refused for good", "were refused for good");
  list(found.files, "is a file that could not be uploaded", "are files that could not be uploaded");
  list(found.thrown_away, "was thrown away before the server had it", "were thrown away before the server had them");
  list(found.untold, "was refused or thrown away", "were refused or thrown away");
  return count(all, "change", "changes") + of + (all == 1 ? " is" : " are") + " not on the server" + parts + why;
}

/// "3 changes wait, 31 are held, 2 are on their way".
std::string what_waits(const Progress& progress) {
  std::string text;
  const auto list = [&text](std::uint64_t n, const std::string& one, const std::string& many) {
    if (n == 0) return;
    text += text.empty() ? count(n, "change ", "changes ") : ", " + count(n, "", "");
    text += n == 1 ? one : many;
  };
  list(progress.pending, "waits", "wait");
  list(progress.held, "is held", "are held");
  list(progress.in_flight, "is on its way", "are on their way");
  if (progress.settling > 0)
    text += (text.empty() ? "" : ", ") +
            count(progress.settling, "source is not counted yet", "sources are not counted yet");
  // Those that are counted as changes, too, were told.
  if (text.empty() && progress.uploads > 0)
    text = count(progress.uploads, "file is to be uploaded", "files are to be uploaded");
  return text;
}

// Sentences that follow others, each after a space.

std::string what_is_set_aside(const Progress& progress) {
  std::string text;
  for (const auto& each : progress.set_aside) text += " " + each + (each.ends_with('.') ? "" : ".");
  return text.empty() ? text : " What is set aside waits until somebody mends it:" + text;
}

std::string what_was_lost(const Progress& progress) {
  std::string text;
  for (const auto& each : progress.lost) text += " " + each;
  return text.empty() ? text : " A part of it was removed before it was synced:" + text;
}

std::string being_written(const Progress& progress) {
  return count(progress.open, "run is still being written", "runs are still being written");
}

std::string what_was_moved(const Progress& progress) {
  std::string text;
  for (const auto& each : progress.moved) text += " " + each;
  return text;
}

/// `meant`: what may be, of what was not seen.
std::string what_remains(const WaitFor& what, const Progress& progress, const std::string& meant) {
  if (!progress.seen)
    return subject_of(what) + " was not seen: no watched folder has it, and nothing of it came over the socket." +
           meant + what_is_set_aside(progress);
  auto text = what_waits(progress);
  if (text.empty() && progress.being_recorded > 0) text = "what the server confirmed is being recorded";
  if (text.empty()) text = being_written(progress) + "; what there is so far is synced (--now takes that for done)";
  text = not_synced(what) + ": " + text + ".";
  std::string why;
  for (const auto& reason : progress.why)
    why += (why.empty() ? " Why: " : "; and ") + reason.substr(0, reason.size() - (reason.ends_with('.') ? 1 : 0));
  return (why.empty() ? text : text + why + ".") + what_is_set_aside(progress) + what_was_lost(progress) +
         what_was_moved(progress);
}

class Waiter {
 public:
  Waiter(const Client& client, const WaitFor& what, const std::function<void(const std::string&)>& notice,
         std::chrono::milliseconds recheck, const std::function<void(const Progress&)>& progress)
      : client_(client), what_(what), notice_(notice), tell_(progress), recheck_(recheck) {
    if (what.timeout) until_ = Clock::now() + *what.timeout;
    // Another project's run of that name says nothing of the one that is meant: its log may be yet to be found.
    at_hand_ = what_.run && !what_.project && what_.project_at_hand;
    if (at_hand_) what_.project = what_.project_at_hand;
  }

  WaitResult run() {
    for (;;) {
      auto stream = client_.events(std::nullopt, true);
      if (!stream) {
        if (const auto end = unreachable(stream.error())) return *end;
        continue;
      }
      if (const auto end = follow(*stream)) return *end;
    }
  }

 private:
  /// Nothing: the daemon went away, or has still to be looked at again.
  std::optional<WaitResult> follow(EventStream& stream) {
    for (;;) {
      if (const auto end = what_.changes.empty() ? look() : look_at_changes()) return end;
      if (!reached_last_time_) return std::nullopt;
      if (Clock::now() >= until_) return what_.changes.empty() ? time_is_up() : time_is_up_for_changes();
      if (const auto end = next_relevant(stream); end != Next::look) return std::nullopt;
    }
  }

  enum class Next { look, lost };

  Next next_relevant(EventStream& stream) {
    auto recheck = recheck_;
    if (progress_.being_recorded > 0) {
      recheck = until_recorded;
    } else if (progress_.settling > 0 || mark_.awaits_reading()) {
      recheck = std::min(recheck, until_settled);  // no event tells that a folder, or a stream, was looked through
    }
    const auto recheck_at = std::min(until_, Clock::now() + recheck);
    for (;;) {
      const auto events = stream.next(recheck_at);
      if (!events) {
        if (!told_gone_) notice_("The daemon is stopping or gone; waiting for it to come back.");
        told_gone_ = true;
        pause();
        return Next::lost;
      }
      if (events->empty()) return Next::look;
      if (!what_.changes.empty()) told_gone_ = false;
      for (const auto& event : *events)
        if (what_.changes.empty() ? concerns(what_, event.value) : concerns_next(event.value)) return Next::look;
    }
  }

  /// Reads where things are; a result when that decides it.
  std::optional<WaitResult> look() {
    const auto status = client_.status();
    const auto streams = status ? client_.streams({what_.project, what_.run}) : std::unexpected(status.error());
    reached_last_time_ = streams.has_value();
    if (!streams) return unreachable(streams.error());
    ever_reached_ = true;
    if (status->value.state != "draining") {
      if (told_gone_) mark_.forget();
      told_gone_ = false;
      backoff_ = first_retry;
    }
    json_ = streams->json;
    streams_ = streams->value;
    progress_ = assess(what_, status->value, streams->value.streams);
    if (tell_) tell_(progress_);
    say_which_is_meant(status->value);
    if (!is_complete(status->value, streams->value)) return std::nullopt;
    const auto missing = what_is_set_aside(progress_) + what_was_lost(progress_);
    if (progress_.rejected > 0)
      return some_rejected(missing.empty() && progress_.moved.empty() ? " All else of it is synced."
                                                                      : missing + what_was_moved(progress_));
    const auto moved = what_was_moved(progress_);
    if (!missing.empty()) return result(Outcome::failed, not_synced(what_) + "." + missing + moved);
    if (!moved.empty()) return result(Outcome::failed, not_synced(what_) + " from here." + moved);
    if (progress_.discarded > 0) return some_discarded();
    if (progress_.moved_changes > 0)
      return result(Outcome::synced, what_was_found() + " is synced, but for what is another machine's to send: " +
                                         count(progress_.moved_changes, "change.", "changes."));
    return result(Outcome::synced, what_is_synced());
  }

  std::string what_is_synced() const {
    const auto all = what_was_found() + " is synced";
    if (!what_.now || progress_.complete(false)) return all + ".";
    auto text = all + " as far as it was logged when this began";
    if (progress_.open > 0) text += "; " + (what_.run ? "the run is still being written" : being_written(progress_));
    return text + ".";
  }

  /// With --now, when all that was there at the first look is dealt with: a job beside it may log on and on.
  bool is_complete(const api::Status& status, const api::StreamList& streams) {
    if (!what_.now || streams.asked_at == 0) return progress_.complete(what_.now);
    if (!progress_.seen || looks_through_a_folder(status)) return false;
    std::vector<api::SourceStatus> meant;
    for (const auto& source : status.sources)
      if (concerns(what_, source)) meant.push_back(source);
    return mark_.is_reached(meant, streams);
  }

  /// Of a run whose project was not named, with the one that it is in.
  std::string what_was_found() const {
    if (!what_.run || what_.project || progress_.projects.empty()) return subject_of(what_);
    return subject_of(what_) + " of " + list(progress_.projects);
  }

  static std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : &name == &names.back() ? " and " : ", ") + name;
    return text;
  }

  /// Where one name may mean several runs, once.
  void say_which_is_meant(const api::Status& status) {
    if (!what_.run || told_which_) return;
    if (!what_.project && progress_.projects.size() > 1) {
      told_which_ = true;
      notice_("A run " + *what_.run + " is in " + list(progress_.projects) +
              ", and all of these are waited for; --project names one.");
    } else if (at_hand_ && !progress_.seen && progress_.settling == 0) {
      const auto elsewhere = projects_elsewhere(status);
      if (elsewhere.empty()) return;
      told_which_ = true;
      notice_("A run " + *what_.run + " is in " + list(elsewhere) + ", but none in " + *what_.project +
              " (of $NEPTUNE_PROJECT), which is waited for; --project names another.");
    }
  }

  std::vector<std::string> projects_elsewhere(const api::Status& status) const {
    const auto streams = client_.streams({std::nullopt, what_.run});
    if (!streams) return {};
    return assess({.run = what_.run}, status, streams->value.streams).projects;
  }

  /// Nobody waits for what somebody threw away; but a run of which something was is not all there.
  WaitResult some_discarded() const {
    const auto discarded = count(progress_.discarded, "change was", "changes were") + " thrown away";
    if (!what_.run)
      return result(Outcome::synced, subject_of(what_) + " is synced, but for what is gone: " + discarded + ".");
    if (progress_.synced == 0)
      return result(Outcome::rejected, "Nothing of " + name_of(what_) + " is on the server: " + discarded + ".");
    return result(Outcome::rejected,
                  "Not all of " + name_of(what_) + " is on the server: " + discarded + ". All else of it is synced.");
  }

  /// The next of the changes first: those after it are looked at when it is done.
  std::optional<WaitResult> look_at_changes() {
    while (!left_.empty()) {
      const auto place = client_.change(left_.front());
      reached_last_time_ = place.has_value();
      if (!place) return unreachable(place.error());
      ever_reached_ = true;
      backoff_ = first_retry;
      json_ = place->json;
      next_ = place->value;
      if (next_.state == "rejected" || next_.state == "discarded" || next_.state == "unknown") {
        ++missing_;
        if (not_there_.size() < most_reasons) not_there_.push_back(next_);
      } else if (next_.state == "moved") {
        ++moved_[next_.moved_to];
      } else if (next_.state != "done") {
        tell_of_changes();
        return std::nullopt;
      }
      left_.drop_through(std::max(left_.front(), next_.done_through));
    }
    tell_of_changes();
    if (!not_there_.empty()) return changes_rejected(changes_moved());
    if (!moved_.empty()) return result(Outcome::failed, changes_moved());
    if (what_.changes.size() == 1)
      return result(Outcome::synced, name_of_changes() + " is synced" + (next_.made ? ": " + *next_.made : "") + ".");
    return result(Outcome::synced, name_of_changes() + " are synced.");
  }

  void tell_of_changes() {
    progress_ = {};
    progress_.seen = true;
    (next_.state == "held" ? progress_.held : progress_.pending) = left_.size();
    progress_.synced = what_.changes.size() - std::min(left_.size(), what_.changes.size());
    if (!left_.empty()) progress_.active_uploads = next_.active_uploads;
    if (tell_) tell_(progress_);
  }

  /// What happens in another workspace does not move it.
  bool concerns_next(const api::Event& event) const {
    if (!event.scope || next_.project.empty()) return true;
    const auto workspace = [](const std::string& scope) { return scope.substr(0, scope.find('/')); };
    return workspace(*event.scope) == workspace(next_.project);
  }

  WaitResult time_is_up_for_changes() {
    const auto looked_at = left_.sample(most_looked_at);
    const bool held = std::ranges::all_of(looked_at, [this](std::int64_t id) {
      const auto place = id == next_.id ? std::optional(next_) : looked_up(id);
      return place && place->state == "held";
    });
    const auto rest = left_.size();
    std::string text = rest == 1 ? "Change " + std::to_string(left_.front()) + (held ? " is held" : " waits")
                                 : api::grouped(rest) + " of " + api::grouped(what_.changes.size()) +
                                       (held ? " changes are held" : " changes wait");
    if (!next_.why.empty()) text += ": " + next_.why;
    if (!text.ends_with('.')) text += ".";
    if (const auto moved = changes_moved(); !moved.empty()) text += " " + moved;
    if (!not_there_.empty()) return changes_rejected(text);
    if (held) return result(Outcome::held, text);
    return result(Outcome::timed_out, "Time is up. " + text);
  }

  std::optional<api::ChangePlace> looked_up(std::int64_t id) const {
    auto place = client_.change(id);
    return place ? std::optional(std::move(place->value)) : std::nullopt;
  }

  WaitResult changes_rejected(const std::string& rest) const {
    const auto all = what_.changes.size();
    if (all == 1) return result(Outcome::rejected, fate_of_the_one(not_there_.front()));
    auto text = "The server does not have " + api::grouped(missing_) + " of " + count(all, "change", "changes") +
                "; `neptune-sync rejected` lists what is kept.";
    for (const auto& each : not_there_) text += " Change " + std::to_string(each.id) + ": " + fate_of(each);
    return result(Outcome::rejected, text + (rest.empty() ? "" : " " + rest));
  }

  /// Whether the server has them is not known here. Empty when none was.
  std::string changes_moved() const {
    std::string text;
    for (const auto& [file, moved] : moved_) {
      const auto one = moved == 1;
      const auto which = what_.changes.size() == 1
                             ? "Change " + std::to_string(what_.changes.front())
                             : api::grouped(moved) + " of " + api::grouped(what_.changes.size()) + " changes";
      text += (text.empty() ? "" : " ") + which + (one ? " was" : " were") + " moved to another machine in " + file +
              ", which sends " + (one ? "it." : "them.");
    }
    return text;
  }

  std::string fate_of_the_one(const api::ChangePlace& place) const {
    const auto change = "Change " + std::to_string(place.id);
    if (place.state == "unknown") return change + ": " + fate_of(place);
    if (place.state != "rejected" || !place.rejected) return change + " is not on the server: " + fate_of(place);
    const auto kept = client_.rejected_one(*place.rejected);
    const char* end = " is not on the server: ";
    if (kept && api::thrown_away_unsent(kept->value))
      end = " was thrown away before the server had it: ";
    else if (kept && api::not_uploaded(kept->value))
      end = " asks for a file that could not be uploaded: ";
    else if (kept)
      end = " was refused for good: ";
    const auto means = kept ? api::meaning(kept->value.code) : std::string_view();
    const auto id = std::to_string(*place.rejected);
    return change + end + fate_of(place) + (means.empty() ? "" : " ") + std::string(means) +
           " It is kept: `neptune-sync rejected show " + id + "`.";
  }

  static std::string fate_of(const api::ChangePlace& place) {
    if (place.state == "unknown" && place.why.empty()) return "it is not known any more whether the server has it.";
    auto text = place.why;
    if (text.ends_with('.')) text.pop_back();
    if (place.state == "discarded") text += "; thrown away by " + place.discarded_by.value_or("somebody");
    return text + ".";
  }

  std::string name_of_changes() const {
    return what_.changes.size() == 1 ? "Change " + std::to_string(what_.changes.front())
                                     : "All " + api::grouped(what_.changes.size()) + " changes";
  }

  std::optional<WaitResult> unreachable(const Error& error) {
    if (!is_unreachable(error) && !error.retryable) return result(Outcome::failed, error.message);
    if (!ever_reached_ && is_unreachable(error)) return result(Outcome::unreachable, error.message);
    if (Clock::now() >= until_) return result(Outcome::unreachable, error.message);
    if (!told_gone_) notice_(error.message + " Waiting for it to come back.");
    told_gone_ = true;
    pause();
    return std::nullopt;
  }

  void pause() {
    std::this_thread::sleep_until(std::min(until_, Clock::now() + backoff_));
    backoff_ = std::min<std::chrono::milliseconds>(backoff_ * 2, last_retry);
  }

  WaitResult time_is_up() const {
    const auto rest = what_remains(what_, progress_, progress_.seen ? std::string() : what_may_be_meant());
    if (progress_.rejected > 0) return some_rejected(" " + rest);
    if (progress_.only_held()) return result(Outcome::held, rest);
    return result(Outcome::timed_out, "Time is up. " + rest);
  }

  std::string what_may_be_meant() const {
    const auto status = client_.status();
    const auto streams = status ? client_.streams({}) : std::unexpected(status.error());
    if (!streams) return {};
    if (what_.run) {
      const auto run = api::did_you_mean(*what_.run, api::container_names(status->value, streams->value.streams));
      if (!run.empty()) return run;
    }
    return what_.project ? api::did_you_mean(*what_.project, api::scope_names(status->value)) : std::string();
  }

  WaitResult some_rejected(const std::string& rest) const {
    const auto name = name_of(what_);
    return result(Outcome::rejected,
                  what_was_rejected(look_through_rejected(), name.empty() ? "all runs" : name) + rest);
  }

  /// Of what is kept as rejected, how much for which reason; as far as the list tells.
  Rejections look_through_rejected() const {
    constexpr std::uint32_t page = 1000;
    Rejections found;
    std::optional<std::int64_t> before = 0;
    while (before && found.all() < progress_.rejected) {
      auto reply = client_.rejected(*before, page);
      if (!reply) break;
      for (const auto& one : reply->value.rejected)
        if (concerns(what_, one)) add(found, one);
      before = reply->value.next_before;
    }
    found.untold = progress_.rejected - std::min(found.all(), progress_.rejected);
    return found;
  }

  WaitResult result(Outcome outcome, std::string message) const {
    if (outcome == Outcome::synced || !what_.changes.empty() || json_.empty())
      return {outcome, std::move(message), json_};
    api::StreamList left;
    left.asked_at = streams_.asked_at;
    for (const auto& stream : streams_.streams)
      if (is_not_synced(stream, what_.now)) left.streams.push_back(stream);
    return {outcome, std::move(message), api::to_json(left)};
  }

  const Client& client_;
  WaitFor what_;
  const std::function<void(const std::string&)>& notice_;
  const std::function<void(const Progress&)>& tell_;
  std::chrono::milliseconds recheck_;
  Deadline until_ = Deadline::max();
  std::chrono::milliseconds backoff_ = first_retry;
  bool ever_reached_ = false, reached_last_time_ = false, told_gone_ = false;
  bool at_hand_ = false;     // the project is that of $NEPTUNE_PROJECT
  bool told_which_ = false;  // where the run's name means several
  Progress progress_;
  Mark mark_;  // with --now
  std::string json_;
  api::StreamList streams_;                   // the same
  Ids left_ = what_.changes;                  // of the changes, those not known to be done
  api::ChangePlace next_;                     // the first of them, as it was last
  std::map<std::string, std::size_t> moved_;  // of those, how many left for another machine, by the file
  std::uint64_t missing_ = 0;                 // of those that are done with: rejected, or discarded since
  std::vector<api::ChangePlace> not_there_;   // the first of those
};

}  // namespace

Progress assess(const WaitFor& what, const api::Status& status, const std::vector<api::Stream>& streams) {
  Progress progress;
  const auto many = what.run && !streams.empty() && std::ranges::any_of(streams, [&streams](const api::Stream& stream) {
                      return stream.project != streams.front().project;
                    });
  const auto of = [many](const std::string& project) { return many ? "in " + project + " " : std::string(); };
  api::Counts aside;
  for (const auto& stream : streams) {
    if (!is_set_aside(stream, status)) {
      add(progress, stream, of(stream.project));
      continue;
    }
    progress.seen = true;
    aside.pending += stream.pending;
    aside.held += stream.held;
  }
  add_moved(progress, what, status, streams);
  // Streams that are done long since are not listed any more; a project is known all the same.
  if (!what.run) progress.seen = progress.seen || !what.project || knows_project(status, *what.project);
  for (const auto& source : status.sources) {
    // A folder that was not looked through yet may hold anything.
    if (source.kind == "watch" && source.state == "settling_in") ++progress.settling;
    if (!concerns(what, source)) continue;
    if (source.project) add_project(progress, *source.project);
    if ((source.project && source.state == "set_aside") || api::is_named_as_log_of(source, what.project, what.run))
      progress.seen = true;
    // What is counted of one that is blocked is told with its stream.
    const bool blocked = source.state == "blocked";
    if (source.state == "settling_in" || (blocked && source.pending == 0)) ++progress.settling;
    if (source.state == "settling_in" || source.state == "left_to_client" || blocked)
      add_reason(progress.why, source.project ? of(*source.project) : source.path + ": ", source.detail.value_or(""));
    if (source.state == "set_aside")
      progress.set_aside.push_back(source.path + ": " + source.detail.value_or("set aside."));
  }
  if (!what.run && !what.project) {
    progress.pending =
        std::max(progress.pending, status.totals.pending - std::min(aside.pending, status.totals.pending));
    progress.held = std::max(progress.held, status.totals.held - std::min(aside.held, status.totals.held));
    progress.in_flight = std::max(progress.in_flight, status.totals.in_flight);
  }
  return progress;
}

WaitResult wait_until_synced(const Client& client, const WaitFor& what,
                             const std::function<void(const std::string&)>& notice, std::chrono::milliseconds recheck,
                             const std::function<void(const Progress&)>& progress) {
  return Waiter(client, what, notice, recheck, progress).run();
}

}  // namespace neptune::client

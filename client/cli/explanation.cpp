#include "client/cli/explanation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "client/cli/refusals.h"
#include "client/cli/views.h"
#include "client/lib/json.h"
#include "client/lib/modes.h"
#include "client/lib/names.h"
#include "client/lib/time.h"

namespace neptune::cli {

namespace {

constexpr std::size_t named_at_most = 3;

struct Cure {
  std::string_view waiting_for;
  /// {run}, {project}, {workspace} stand for the stream's own.
  std::string_view next;
};

constexpr std::array cures{
    Cure{"turn", "It goes with the next free connection, within moments."},
    Cure{"sending", "It is on its way now; should no answer come, it is sent again."},
    Cure{"unconfirmed",
         "The daemon asks until the server says that it has stored it; what is not confirmed is sent again."},
    Cure{"recording",
         "Within moments. Only a full disk of the state directory could keep it, which `neptune-sync "
         "status` would say."},
    Cure{"counting", "It goes on as soon as that is done."},
    Cure{"lookup", "It goes on within moments."},
    Cure{"paused",
         "The daemon takes over by itself when the client's own sync has ended, or was never there. A job "
         "that logs offline leaves its runs to the daemon from the beginning."},
    Cure{"earlier_source",
         "It goes on by itself when the older log is synced; `neptune-sync streams --run {run}` shows both."},
    Cure{"parent",
         "It goes on by itself once the parent is on the server; `neptune-sync explain` of the parent tells "
         "what that waits for."},
    Cure{"discovery", "Within seconds it is either found, or the server is asked for it."},
    Cure{"project",
         "It goes on by itself once the project is on the server; `neptune-sync explain {project}` tells "
         "what its create waits for."},
    Cure{"earlier_change",
         "It goes on by itself when those are on the server; `neptune-sync streams --project "
         "{project}` shows what they wait for."},
    Cure{"retry",
         "It is tried again by itself, ever more rarely; `neptune-sync flush` tries at once. Where the server "
         "refuses for want of a permission, that has to be mended there."},
    Cure{"doubt",
         "The server's answer may mean a full workspace or this one change. The daemon asks which, and tries "
         "again by itself: in the first case it is held, in the second rejected, and the rest goes on."},
    Cure{"server",
         "It is tried again by itself, ever more rarely; `neptune-sync flush` tries at once, and "
         "`neptune-sync doctor` goes the way to the server step by step."},
    Cure{"ramp", "It goes by itself: what was held is let go over a while, so that not all machines begin at once."},
    Cure{"source", "Mend that. It is tried again when the file changes, or with `neptune-sync flush`."},
    Cure{"set_aside", "Mend that. It is tried again when the file changes, or with `neptune-sync flush`."},
    Cure{"left_to_client", "The daemon takes over by itself what the client leaves when it ends."},
    Cure{"settling_in", "That takes seconds."},
    Cure{"blocked", "It is tried again by itself; `neptune-sync flush` tries at once."},
};

/// Where files need other words.
constexpr std::array file_cures{
    Cure{"earlier_change",
         "They go on by themselves once the run is on the server; `neptune-sync streams --run {run}` shows what its "
         "create waits for."},
    Cure{"retry",
         "They are tried again by themselves, with pauses up to a minute; `neptune-sync flush` tries at once. A file "
         "that "
         "the store answers to and never takes is rejected in the end, with its reason."},
    Cure{"sending", "They are on their way now, as many at once as [uploads] max_concurrent says."}};

constexpr std::string_view token_cure =
    "`neptune-sync doctor` goes the way to the server step by step, and says where a new one goes, and what has it "
    "read: then it is tried at once. About one that it refused the server is asked again every five minutes, and not "
    "sooner for a `neptune-sync flush`.";

std::string sentence(std::string_view text) {
  auto out = capital(clean(text));
  while (!out.empty() && out.back() == ' ') out.pop_back();
  if (!out.empty() && std::string_view(".!?").find(out.back()) == std::string_view::npos) out += '.';
  return out;
}

bool within(std::string_view name, std::string_view scope, char separator = '/') {
  return name == scope || (name.starts_with(scope) && name.size() > scope.size() && name[scope.size()] == separator);
}

std::string workspace_of(const std::string& project) {
  return project.substr(0, project.find('/'));
}

void replace_all(std::string& text, std::string_view what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

std::string cure(std::string_view waiting_for, const std::string& project, const std::string& run,
                 bool of_files = false) {
  if (waiting_for.ends_with("_mode"))
    return api::end_of_read_only(clean(waiting_for.starts_with("project") ? project : workspace_of(project)));
  if (waiting_for.ends_with("_held"))
    return api::end_of_hold(clean(waiting_for.starts_with("project") ? project : workspace_of(project)));
  const auto own = std::ranges::find(file_cures, waiting_for, &Cure::waiting_for);
  const auto found = std::ranges::find(cures, waiting_for, &Cure::waiting_for);
  if (found == cures.end()) return {};
  std::string text(of_files && own != file_cures.end() ? own->next : found->next);
  replace_all(text, "{project}", clean(project));
  replace_all(text, "{workspace}", clean(workspace_of(project)));
  replace_all(text, "{run}", clean(run));
  return text;
}

std::string subject_of(const std::string& type, const std::string& name, const std::string& project) {
  const auto of = " of " + clean(project);
  if (type == "run") return "Run " + clean(name) + of;
  if (type == "files") return "Files of run " + clean(name) + of;
  if (type == "model") return "Model " + clean(name) + of;
  if (type == "model_version") return "Model version " + clean(name) + of;
  if (type == "project") return "The metadata" + of;
  if (type == "removals" && name == "removal of the project") return "The removal" + of;
  if (type == "removals") return (name.empty() ? "Removals" : "Removals that wait") + of;
  return (name.empty() ? "Management (`project create` and the like)" : "Management (" + clean(name) + ")") + of;
}

std::string waits_since(const std::optional<std::string>& oldest, Time now) {
  return oldest && api::parse_time(*oldest) ? "; the oldest has waited for " + since(oldest, now) : "";
}

/// "1,204 changes (3.2 MiB) are not on the server yet; the oldest has waited for 12 min."
std::string not_there(const api::Counts& counts, std::uint64_t size, const std::optional<std::string>& oldest, Time now,
                      bool files = false) {
  const auto left = counts.pending + counts.held + counts.in_flight;
  std::vector<std::string> parts;
  if (counts.held > 0 && counts.held < left) parts.push_back(count(counts.held) + " held");
  if (counts.in_flight > 0) parts.push_back(count(counts.in_flight) + " sent, but not confirmed");
  auto text = files ? (left == 1 ? "1 file" : count(left) + " files") : changes(left);
  if (size > 0) text += " (" + bytes(size) + ")";
  text += left == 1 ? " is not on the server yet" : " are not on the server yet";
  if (!parts.empty()) text += fmt::format(" ({})", fmt::join(parts, ", "));
  return text + waits_since(oldest, now) + ".";
}

class Explainer {
 public:
  Explainer(const Question& question, const api::Status& status, const std::vector<api::Stream>& streams)
      : question_(question), status_(status), streams_(streams) {}

  std::vector<Explanation> run() {
    if (question_.change) change(*question_.change);
    number();
    if (!question_.path.empty()) path();
    name();
    std::ranges::stable_sort(found_, {}, [](const Explanation& one) { return one.waiting_for == "nothing"; });
    if (!found_.empty()) general();
    return std::move(found_);
  }

 private:
  // What all of it shares: said once, first.
  void general() {
    const bool waits = std::ranges::any_of(found_, [](const auto& one) { return one.waiting_for != "nothing"; });
    if (!waits) return;
    std::vector<Explanation> first;
    if (status_.state == "draining")
      first.push_back({.subject = "The daemon",
                       .state = "It is stopping: nothing new is sent until it runs again.",
                       .next = "Start it again, unless it comes back by itself.",
                       .waiting_for = "draining"});
    for (const auto& problem : status_.problems)
      first.push_back({.subject = "The daemon", .state = sentence(problem), .waiting_for = "problem"});
    found_.insert(found_.begin(), first.begin(), first.end());
  }

  const api::SourceStatus* source_at(const std::string& path) const {
    const auto at = std::ranges::find_if(
        status_.sources, [&path](const auto& source) { return source.kind != "watch" && source.path == path; });
    return at == status_.sources.end() ? nullptr : &*at;
  }

  /// Of files: what keeps their names, and where they are themselves.
  static std::string where_files(const api::Stream& stream) {
    if (stream.source.starts_with(api::queue_source))
      return "Where they were when they were handed in: the daemon's change queue names them. One that was copied "
             "(--copy) is safe with the daemon, another must stay as it is until it is uploaded.";
    return "Where the job put them; the run log " + clean(stream.source) +
           " names them. They must stay as they are "
           "until they are uploaded.";
  }

  std::string where(const api::Stream& stream) const {
    if (stream.source.empty()) return {};
    if (is_files(stream)) return where_files(stream);
    if (stream.source.starts_with(api::queue_source))
      return left(stream) > 0 ? "In the daemon's change queue, safe on disk." : "";
    const auto* source = source_at(stream.source);
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

  /// Of files that were handed in, only what names them is counted.
  static bool counts_bytes(const api::Stream& stream) {
    return !is_files(stream) || !stream.source.starts_with(api::queue_source);
  }

  static bool is_files(const api::Stream& stream) { return stream.container_type == "files"; }

  static std::uint64_t left(const api::Stream& stream) { return stream.pending + stream.held + stream.in_flight; }

  static bool is_done(const api::Stream& stream) {
    static const std::set<std::string_view> looked_into{"counting", "lookup", "source", "recording"};
    return left(stream) == 0 && stream.lost == 0 && !looked_into.contains(stream.waiting_for);
  }

  /// "12 changes and 1 file"; empty for none.
  static std::string what_is_there(const std::vector<const api::Stream*>& streams) {
    std::uint64_t done = 0, files = 0;
    for (const auto* stream : streams) (is_files(*stream) ? files : done) += stream->synced;
    auto text = done > 0 ? changes(done) : std::string();
    if (files > 0) text += (text.empty() ? "" : " and ") + count(files) + (files == 1 ? " file" : " files");
    return text;
  }

  /// "All that was found of it is on the server: 12 changes.", where nothing was rejected.
  static std::string nothing_waits(const std::string& there, bool rejected) {
    if (rejected) return "Nothing else of it waits." + (there.empty() ? "" : " On the server: " + there + ".");
    return there.empty() ? "Nothing of it waits." : "All that was found of it is on the server: " + there + ".";
  }

  Explanation explain_moved(Explanation one, const api::Stream& stream, const std::string& there) const {
    one.state =
        fmt::format("{} moved to another machine in {}{}, which sends {}. On the server from here: {}.",
                    stream.moved == 1 ? "1 change was" : changes(stream.moved) + " were", clean(stream.moved_to),
                    stream.moved_at ? " " + since(*stream.moved_at, now()) + " ago" : std::string(),
                    stream.moved == 1 ? "it" : "them", there.empty() ? "nothing" : there);
    one.next =
        fmt::format("`neptune-sync import` of {} takes {} in, there or, should it not have been done there, here.",
                    clean(stream.moved_to), stream.moved == 1 ? "it" : "them");
    return one;
  }

  /// Of what has nothing that waits: the streams of one run, or a single one.
  Explanation explain_done(const std::vector<const api::Stream*>& streams) const {
    const auto& first = *streams.front();
    Explanation one{.subject = subject_of(first.container_type, first.container, first.project),
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
    if (const auto moved = std::ranges::find_if(streams, [](const auto* stream) { return stream->moved > 0; });
        moved != streams.end())
      return explain_moved(std::move(one), **moved, there);
    one.state = nothing_waits(there, sum.rejected_kept > 0);
    if (sum.discarded > 0)
      one.state = fmt::format("Not all of it is on the server: {} thrown away, {} there.",
                              sum.discarded == 1 ? "1 change was" : changes(sum.discarded) + " were",
                              there.empty() ? "nothing is" : there);
    if (last) one.state += " The last was confirmed " + since(last, now()) + " ago.";
    return one;
  }

  Explanation explain(const api::Stream& stream) const {
    Explanation one{.subject = subject_of(stream.container_type, stream.container, stream.project),
                    .state = {},
                    .where = where(stream),
                    .why = {},
                    .next = {}};
    if (stream.lost > 0) {
      one.state = sentence(stream.why);
      one.waiting_for = "lost";
      one.next = "Put a copy of it into a watched folder, if there is one. " +
                 (stream.synced == 0 ? std::string("Nothing") : changes(stream.synced)) +
                 (stream.synced > 1 ? " of it are on the server. " : " of it is on the server. ") +
                 fmt::format("`{}` gives up what was lost.", clean(api::discard_command(stream)));
      return one;
    }
    if (is_done(stream)) return explain_done({&stream});
    one.state = left(stream) > 0 ? not_there(stream, counts_bytes(stream) ? stream.pending_bytes : 0,
                                             stream.oldest_pending_at, now(), is_files(stream))
                                 : "It is not known yet how much of it waits.";
    one.why = sentence(stream.why);
    for (const auto& upload : stream.active_uploads)
      one.why += (one.why.empty() ? "" : " ") + progress_of(upload) + ".";
    one.waiting_for = stream.waiting_for;
    one.next = stream.missing == "token" ? std::string(token_cure)
                                         : cure(stream.waiting_for, stream.project, stream.container, is_files(stream));
    if (const auto all = closures(stream.project); all.size() > 1 && waits_for_mode(stream.waiting_for))
      one.next = what_opens(all);
    if (stream.missing == "run")
      one.next = fmt::format(
          "`neptune-sync run create {} --project {}` creates it. What waits is tried again by itself, ever more "
          "rarely; "
          "`neptune-sync flush` tries at once.",
          clean(stream.container), clean(stream.project));
    if (stream.missing == "project") {
      one.why += clean(api::project_meant(stream.project, status_));
      one.next = fmt::format(
          "`neptune-sync project create {}` creates it. What waits is tried again by itself, ever more rarely; "
          "`neptune-sync flush` tries at once.",
          clean(stream.project));
    }
    if (stream.waiting_for == "retry" && stream.source.starts_with(api::queue_source))
      one.next +=
          fmt::format(" `{}` throws away what waits, and keeps it as rejected.", clean(api::discard_command(stream)));
    return one;
  }

  static bool waits_for_mode(std::string_view waiting_for) {
    return waiting_for.ends_with("_mode") || waiting_for.ends_with("_held");
  }

  /// A scope that is held, or else read-only.
  struct Closure {
    std::string scope;
    bool held = false;
  };

  /// All that keeps a project's writes, the holds first: they are whose words come first.
  std::vector<Closure> closures(const std::string& project) const {
    std::vector<Closure> held, read_only;
    const auto look = [&held, &read_only](const api::ScopeStatus& scope, std::string name) {
      if (scope.own_mode() == "read_only") read_only.push_back({name, false});
      if (scope.operator_hold || scope.own_mode() == "held") held.push_back({std::move(name), true});
    };
    for (const auto& workspace : status_.workspaces) {
      if (workspace.name != workspace_of(project)) continue;
      look(workspace, workspace.name);
      for (const auto& each : workspace.projects)
        if (api::full_name(workspace, each) == project) look(each, project);
    }
    held.insert(held.end(), read_only.begin(), read_only.end());
    return held;
  }

  static std::string what_opens(const std::vector<Closure>& closures) {
    std::vector<std::string> ways;
    for (const auto& [scope, held] : closures)
      ways.push_back(held ? fmt::format("`neptune-sync release {}` ends the hold", clean(scope))
                          : fmt::format("free space in {0}, or raise its limit (`neptune-sync probe {0}` asks the "
                                        "server at once)",
                                        clean(scope)));
    return fmt::format("All of that has to end: {}. Then it goes by itself.", fmt::join(ways, "; "));
  }

  void add(const api::Stream& stream) {
    found_.push_back(explain(stream));
    told_.insert(stream.source);
    uploads(stream);
  }

  /// A verdict for each run, or other container: where something of it waits, what is done is no heading of its own.
  void add_all(const std::vector<const api::Stream*>& streams) {
    std::map<std::pair<std::string, std::string>, std::vector<const api::Stream*>> containers;
    for (const auto* stream : streams)
      containers[{stream->project, (stream->is_of_run() ? "run/" : stream->container_type + "/") + stream->container}]
          .push_back(stream);
    for (auto& [name, all] : containers) add_container(all);
  }

  void add_container(std::vector<const api::Stream*>& all) {
    std::ranges::stable_sort(all, {}, [](const auto* stream) { return is_files(*stream); });
    const auto before = found_.size();
    for (const auto* stream : all) {
      told_.insert(stream->source);
      if (is_done(*stream))
        uploads(*stream);
      else
        add(*stream);
    }
    if (found_.size() == before) {
      found_.push_back(explain_done(all));
    } else if (const auto there = what_is_there(all); !there.empty() && all.size() > 1) {
      found_[before].state += " Already there: " + there + ".";
    }
  }

  /// Files that a log asks for and that are no stream yet: else they are told of there.
  std::uint64_t files_of_no_stream(const api::Stream& stream) const {
    const bool told = std::ranges::any_of(streams_, [&stream](const api::Stream& other) {
      return is_files(other) && other.source == stream.source && other.container == stream.container;
    });
    return is_files(stream) || told ? 0 : stream.uploads;
  }

  void uploads(const api::Stream& stream) {
    const auto files = files_of_no_stream(stream);
    if (files == 0) return;
    const bool one = files == 1;
    found_.push_back({.subject = (one ? "A file of run " : "Files of run ") + clean(stream.container) + " of " +
                                 clean(stream.project),
                      .state = one ? "1 file waits to be uploaded." : count(files) + " files wait to be uploaded.",
                      .where = where_files(stream),
                      .why = {},
                      .next = "Until they are uploaded, they and their log are kept.",
                      .waiting_for = "uploads"});
  }

  // A source that has no stream (yet).
  void add(const api::SourceStatus& source) {
    if (!told_.insert(source.path).second) return;
    Explanation one{.subject = source.run ? "Run " + clean(*source.run) + " of " + clean(source.project.value_or("?"))
                                          : clean(source.path),
                    .state = source.state == "settling_in" ? "Its log was found, and nothing of it is sent yet."
                                                           : "Nothing of it is sent now.",
                    .where = "In " + clean(source.path) + ".",
                    .why = sentence(source.detail.value_or("")),
                    .next = {},
                    .waiting_for = source.state};
    if (source.state == "synced") {
      one.state = "All of it is on the server.";
      one.waiting_for = "nothing";
    }
    one.next = cure(one.waiting_for, source.project.value_or(""), source.run.value_or(""));
    found_.push_back(std::move(one));
  }

  void path() {
    const auto& path = question_.path;
    const auto meant = [&path](const std::string& other) { return within(path, other) || within(other, path); };
    std::vector<const api::Stream*> below;
    for (const auto& stream : streams_)
      if (!stream.source.starts_with(api::queue_source) && meant(stream.source)) below.push_back(&stream);
    add_all(below);
    for (const auto& source : status_.sources)
      if (source.kind != "watch" && source.kind != "change-queue" && meant(source.path)) add(source);
    for (const auto& stream : streams_) {
      const auto waits = std::ranges::find(question_.of_file, stream.id, &api::Stream::id) != question_.of_file.end();
      if (waits || std::ranges::find(stream.active_uploads, path, &api::Upload::file) != stream.active_uploads.end())
        add_file(stream);
    }
    rejected_of([&path](const api::Rejected& one) {
      return one.container_type == "files" && one.reason.find("the file " + path + " ") != std::string::npos;
    });
    // The folder above is only of interest where nothing was found in it, or where it has a problem.
    for (const auto& watch : status_.sources) {
      if (watch.kind != "watch" || !meant(watch.path)) continue;
      if (found_.empty() || watch.detail) add_watch(watch);
    }
    if (found_.empty()) not_watched();
  }

  /// The file that is asked for, and with it all that go the same way.
  void add_file(const api::Stream& stream) {
    const auto at = found_.size();
    add(stream);
    found_[at].state = "It waits to be uploaded, or is on its way. In all: " + found_[at].state;
  }

  void add_watch(const api::SourceStatus& watch) {
    Explanation one{.subject = "The watched folder " + clean(watch.path), .state = {}, .waiting_for = "nothing"};
    if (watch.state == "settling_in") {
      one.state = "It is being looked through for the first time.";
      one.waiting_for = "settling_in";
      one.next = cure("settling_in", {}, {});
    } else if (watch.detail) {
      one.state = watch.state == "set_aside" ? "The daemon cannot look into it: what jobs log there is not sent."
                                             : "The daemon looks after it, but not as it should.";
      one.why = sentence(*watch.detail);
      one.waiting_for = "problem";
      one.next = "Mend that, unless it is meant so; `neptune-sync flush` looks through the folder anew.";
    } else {
      one.state = "It is watched, and has no run there that is not synced.";
      one.next =
          "A run log is a folder with a file run_operations.sqlite3; `neptune-sync flush` looks through it at "
          "once.";
    }
    found_.push_back(std::move(one));
  }

  /// What of run logs' files waits: which they are is in the logs alone.
  std::string files_of_logs() const {
    for (const auto& stream : streams_)
      if (stream.uploads > 0 && !stream.source.starts_with(api::queue_source))
        return " If a run log asks for it, `neptune-sync explain " + clean(stream.container) +
               "`, or of another run with files, tells.";
    return {};
  }

  void not_watched() {
    std::vector<std::string> folders;
    for (const auto& watch : status_.sources)
      if (watch.kind == "watch") folders.push_back(clean(watch.path));
    found_.push_back(
        {.subject = clean(question_.path),
         .state = "The daemon does not look there.",
         .where = {},
         .why = folders.empty() ? "It watches no folder." : fmt::format("It watches {}.", fmt::join(folders, ", ")),
         .next = "Name the folder in a [[watch]] of the daemon's configuration and " + clean(status_.reload_with) +
                 ", or have the job log into a watched one (NEPTUNE_LOG_DIRECTORY)." + files_of_logs(),
         .waiting_for = "not_watched"});
  }

  void change(const api::ChangePlace& place) {
    const auto subject = fmt::format("Change {}", place.id);
    if (place.state == "done") {
      found_.push_back({.subject = subject, .state = "It is done: the server has it."});
      return;
    }
    if (place.state == "unknown") {
      found_.push_back({.subject = subject,
                        .state = "What became of it is not known any more: the server has it, or it was refused and "
                                 "thrown away long since.",
                        .waiting_for = "unknown"});
      return;
    }
    if (place.state == "discarded") {
      const auto when = place.discarded_at ? " " + since(place.discarded_at, now()) + " ago" : "";
      found_.push_back({.subject = subject,
                        .state = "The server does not have it: it was rejected" + number_of(place.rejected) +
                                 ", and thrown away" + when + " by " + clean(place.discarded_by.value_or("somebody")) +
                                 ".",
                        .why = sentence(place.why),
                        .next = "Nothing of it is kept: what is still wanted has to be handed in again.",
                        .waiting_for = "discarded"});
      return;
    }
    if (place.rejected) {
      const auto refused = std::ranges::find(question_.rejected, *place.rejected, &api::Rejected::id);
      found_.push_back({.subject = subject,
                        .state = refused != question_.rejected.end() ? rejection(*refused)
                                                                     : "The server refused it for good; it is kept.",
                        .why = refused != question_.rejected.end() ? refusal(*refused) : clean(place.why),
                        .next = retry_or_discard(place.rejected),
                        .waiting_for = "rejected"});
      return;
    }
    auto one = Explanation{.subject = {}, .state = {}, .waiting_for = "turn"};
    const auto stream = std::ranges::find(streams_, place.source, &api::Stream::id);
    if (stream != streams_.end()) one = explain(*stream);
    one.subject =
        subject + " (" + clean(place.kind) + "), " + subject_of(place.container_type, place.container, place.project);
    if (place.container_type != "files" || one.where.empty()) one.where = "In the daemon's change queue, safe on disk.";
    one.state = place.state == "sent" ? "It is sent, and not confirmed yet." : "It is not on the server yet.";
    if (place.accepted_at) one.state += " It was handed in " + since(place.accepted_at, now()) + " ago.";
    if (place.ahead > 0)
      one.state +=
          fmt::format(" {} of the same stream {} before it.", changes(place.ahead), place.ahead == 1 ? "goes" : "go");
    found_.push_back(std::move(one));
  }

  /// Changes have numbers as they are handed in, and rejected ones another, as they are rejected.
  void number() {
    const auto same = [this](const api::Rejected& one) { return std::to_string(one.id) == question_.text; };
    const auto rejected = std::ranges::find_if(question_.rejected, same);
    if (rejected == question_.rejected.end()) return;
    const auto& place = question_.change;
    if (place && place->rejected == rejected->id && place->state == "rejected") return;
    if (place) {
      auto& next = found_.front().next;
      next += fmt::format(
          "{}This is of change {}, as it was handed in; rejected {} is another one: `neptune-sync "
          "rejected show {}`.",
          next.empty() ? "" : " ", place->id, rejected->id, rejected->id);
      return;
    }
    found_.push_back(
        {.subject = fmt::format(
             "Rejected {}, of {}", rejected->id,
             clean(rejected->container.empty() ? rejected->project : rejected->project + "/" + rejected->container)),
         .state = rejection(*rejected) + " (No change was handed in with that number.)",
         .why = refusal(*rejected),
         .next = retry_or_discard({rejected->id}),
         .waiting_for = "rejected"});
  }

  static std::string rejection(const api::Rejected& one) {
    if (api::thrown_away_unsent(one)) return "It was thrown away before the server had it; it is kept.";
    if (one.container_type == "files") return "Its file was not uploaded; the change is kept.";
    return "The server refused it for good; it is kept.";
  }

  static std::string number_of(const std::optional<std::int64_t>& rejected) {
    return rejected ? fmt::format(" (as rejected {})", *rejected) : "";
  }

  /// A log that was not looked into yet, or cannot be.
  void unread(const std::string& run) {
    for (const auto& source : status_.sources) {
      if (!api::is_named_as_log_of(source, std::nullopt, run)) continue;
      const auto before = found_.size();
      add(source);
      if (found_.size() > before) found_.back().subject = "Run " + clean(run);
    }
  }

  /// The project that is at hand, if something of that name is in it.
  std::optional<std::string> project_of_name() const {
    const auto& project = question_.project;
    const auto& name = question_.text;
    const auto there = [&](const auto& one) { return one.project == *project && one.container == name; };
    const auto source = [&](const auto& one) { return one.project == *project && one.run == name; };
    if (project && (std::ranges::any_of(streams_, there) || std::ranges::any_of(question_.rejected, there) ||
                    std::ranges::any_of(status_.sources, source)))
      return project;
    return std::nullopt;
  }

  // A run, model, project or workspace, by its name.
  void name() {
    const auto& text = question_.text;
    const auto only = project_of_name();
    const auto means = [&text, &only](const std::string& project, const std::string& name) {
      if (name.empty()) return false;
      return (name == text && (!only || project == *only)) || project + "/" + name == text;
    };
    std::vector<const api::Stream*> named;
    for (const auto& stream : streams_)
      if (means(stream.project, stream.container)) named.push_back(&stream);
    add_all(named);
    for (const auto& source : status_.sources)
      if (source.run && means(source.project.value_or(""), *source.run)) add(source);
    unread(text);
    // Also of what has no stream any more.
    rejected_of([&means](const api::Rejected& one) { return means(one.project, one.container); });
    for (const auto& workspace : status_.workspaces) {
      if (workspace.name == text) scope(workspace, "Workspace " + clean(text), text);
      for (const auto& project : workspace.projects)
        if (api::full_name(workspace, project) == text) scope(project, "Project " + clean(text), text, &workspace);
    }
  }

  /// `above`: of a project, its workspace, whose mode is its own too.
  void scope(const api::ScopeStatus& scope, std::string subject, const std::string& name,
             const api::ScopeStatus* above = nullptr) {
    Explanation one{.subject = std::move(subject), .state = {}};
    const auto waits = scope.pending + scope.held + scope.in_flight;
    one.state = waits > 0
                    ? not_there(scope, scope.pending_bytes, scope.oldest_pending_at, now())
                    : nothing_waits(scope.synced > 0 ? changes(scope.synced) : std::string(), scope.rejected_kept > 0);
    if (waits > 0) one.waiting_for = "waiting";
    add_read_only(one, scope, name);
    if (above) add_read_only(one, *above, above->name);
    add_hold(one, scope, name);
    if (above) add_hold(one, *above, above->name);
    found_.push_back(std::move(one));
    streams_in(name);
    rejected_of([&name](const api::Rejected& rejected) { return within(rejected.project, name); });
  }

  static void add_to(Explanation& one, const std::string& why, const std::string& next) {
    one.why += (one.why.empty() ? "" : " ") + why;
    one.next += (one.next.empty() ? "" : " ") + next;
  }

  void add_read_only(Explanation& one, const api::ScopeStatus& scope, const std::string& name) const {
    if (scope.own_mode() != "read_only") return;
    one.waiting_for = "read_only";
    auto next = api::end_of_read_only(clean(name));
    if (scope.next_probe_at) next += " The next probe is in " + until(scope.next_probe_at, now()) + ".";
    add_to(one,
           sentence(clean(name) + " is read-only on the server" + api::for_as_long(scope.since, now()) +
                    (scope.reason ? ": " + *scope.reason : "")),
           next);
  }

  void add_hold(Explanation& one, const api::ScopeStatus& scope, const std::string& name) const {
    if (!scope.operator_hold && scope.own_mode() != "held") return;
    if (one.waiting_for != "read_only") one.waiting_for = "held";
    add_to(one, sentence(api::hold_in_words(clean(name), scope, now())), api::end_of_hold(clean(name)));
  }

  /// What the streams of a scope wait for, once a reason: the words of the largest stand for all.
  void streams_in(const std::string& scope) {
    std::map<std::string, std::vector<const api::Stream*>> by_reason;
    for (const auto& stream : streams_) {
      if (!within(stream.project, scope)) continue;
      if (stream.lost > 0)
        found_.push_back(explain(stream));
      else if (left(stream) > 0 || stream.waiting_for == "source")
        by_reason[stream.waiting_for].push_back(&stream);
    }
    for (auto& [reason, group] : by_reason) {
      std::ranges::sort(group, [](const auto* a, const auto* b) { return left(*a) > left(*b); });
      auto one = explain(*group.front());
      if (group.size() > 1) {
        replace_all(one.next, " --run " + clean(group.front()->container) + "`", "`");
        api::Counts sum;
        std::uint64_t size = 0;
        std::vector<std::string> names;
        std::optional<std::string> oldest;
        for (const auto* stream : group) {
          sum.pending += stream->pending;
          sum.held += stream->held;
          sum.in_flight += stream->in_flight;
          size += stream->pending_bytes;
          if (names.size() < named_at_most) names.push_back(clean(name_of(*stream)));
          const auto& time = stream->oldest_pending_at;
          if (time && (!oldest || *time < *oldest)) oldest = time;
        }
        one.subject = fmt::format("{} streams ({}{})", group.size(), fmt::join(names, ", "),
                                  group.size() > names.size() ? ", …" : "");
        one.state = not_there(sum, size, oldest, now());
        one.where.clear();
        one.why = "As " + subject_of(group.front()->container_type, group.front()->container, group.front()->project) +
                  ": " + one.why;
      }
      found_.push_back(std::move(one));
    }
    std::uint64_t files = 0;
    for (const auto& stream : streams_)
      if (within(stream.project, scope)) files += files_of_no_stream(stream);
    if (files > 0)
      found_.push_back(
          {.subject = "Files of " + clean(scope),
           .state = files == 1 ? "1 file waits to be uploaded." : count(files) + " files wait to be uploaded.",
           .next = "Until they are uploaded, they and their logs are kept.",
           .waiting_for = "uploads"});
    for (const auto& source : status_.sources)
      if (source.project && within(*source.project, scope) &&
          (source.state == "set_aside" || source.state == "left_to_client" || source.state == "settling_in" ||
           source.state == "blocked"))
        add(source);
  }

  static std::string refusal(const api::Rejected& one) {
    const bool told = one.reason.find(one.code) != std::string::npos;
    const auto means = meaning(one.code);
    return fmt::format("Rejected {}: {}{}{}{}", one.id, sentence(one.reason), told ? "" : " (" + clean(one.code) + ")",
                       means.empty() ? "" : " ", means);
  }
  static std::string retry_or_discard(std::optional<std::int64_t> id = {}) {
    return fmt::format(
        "`neptune-sync rejected retry {0}` sends it again when the cause is mended, `... discard {0}` "
        "drops it.",
        id ? std::to_string(*id) : "ID");
  }

  template <class Meant>
  void rejected_of(Meant meant) {
    std::vector<const api::Rejected*> list;
    for (const auto& one : question_.rejected)
      if (meant(one)) list.push_back(&one);
    if (list.empty()) return;
    std::vector<std::string> reasons;
    for (std::size_t i = 0; i < list.size() && i < named_at_most; ++i) reasons.push_back(refusal(*list[i]));
    const auto files = std::ranges::count(list, "files", &api::Rejected::container_type);
    const bool only_files = std::cmp_equal(files, list.size());
    const bool nothing_refused =
        std::ranges::all_of(list, [](const auto* one) { return api::thrown_away_unsent(*one); });
    const auto they_are = list.size() == 1 ? "it is" : "they are";
    auto state = fmt::format("The server refused {} of it for good; {} kept.", changes(list.size()), they_are);
    if (nothing_refused)
      state = fmt::format("{} of it {} thrown away before the server had {}; {} kept.", changes(list.size()),
                          list.size() == 1 ? "was" : "were", list.size() == 1 ? "it" : "them", they_are);
    else if (only_files)
      state = fmt::format("{} could not be uploaded; what asks for {} is kept.",
                          files == 1 ? "1 file" : count(list.size()) + " files", files == 1 ? "it" : "them");
    found_.push_back({.subject = only_files ? "Rejected files" : "Rejected changes",
                      .state = std::move(state),
                      .where = {},
                      .why = fmt::format("{}", fmt::join(reasons, " ")) +
                             (list.size() > named_at_most ? " `neptune-sync rejected` has the others." : ""),
                      .next = retry_or_discard(list.size() == 1 ? std::optional(list.front()->id) : std::nullopt),
                      .waiting_for = "rejected"});
  }

  Time now() const { return question_.now; }

  const Question& question_;
  const api::Status& status_;
  const std::vector<api::Stream>& streams_;
  std::vector<Explanation> found_;
  std::set<std::string> told_;  // sources
};

}  // namespace

std::vector<Explanation> explain(const Question& question, const api::Status& status,
                                 const std::vector<api::Stream>& streams) {
  return Explainer(question, status, streams).run();
}

std::string view(const std::vector<Explanation>& explanations, const Style& style) {
  std::string out;
  for (const auto& one : explanations) {
    if (!out.empty()) out += "\n";
    const bool waits = one.waiting_for != "nothing";
    out += paint(style, Colour::bold, one.subject) + "\n";
    const auto part = [&](std::string_view title, const std::string& text, Colour colour) {
      if (text.empty()) return;
      const auto first = fmt::format("  {:<7}", title);
      const std::string indent(first.size(), ' ');
      out += paint(style, Colour::dim, first) + paint(style, colour, wrap(text, style.width, indent, indent).substr(9));
    };
    const bool lost = one.waiting_for == "lost";
    part("", one.state, lost ? Colour::yellow : waits ? Colour::plain : Colour::green);
    part("where", one.where, Colour::plain);
    part("why", one.why, Colour::yellow);
    part("then", one.next, Colour::plain);
  }
  return out;
}

std::string to_json(const std::vector<Explanation>& explanations) {
  std::string out = R"({"explanations":[)";
  for (const auto& one : explanations) {
    if (out.back() != '[') out += ',';
    char separator = '{';
    for (const auto& [key, value] : {std::pair<std::string_view, const std::string&>{"subject", one.subject},
                                     {"state", one.state},
                                     {"where", one.where},
                                     {"why", one.why},
                                     {"next", one.next},
                                     {"waiting_for", one.waiting_for}}) {
      out += std::exchange(separator, ',');
      api::append_json_string(out, key);
      out += ':';
      api::append_json_string(out, value);
    }
    out += '}';
  }
  return out + "]}";
}

std::string nothing_known(const Question& question, const api::Status& status,
                          const std::vector<api::Stream>& streams) {
  constexpr std::size_t few = 5;
  auto known = api::scope_names(status);
  std::vector<std::string> projects, folders;
  for (const auto& name : known)
    if (name.find('/') != std::string::npos) projects.push_back(clean(name));
  const auto others = projects.size() - std::min(projects.size(), few);
  projects.resize(projects.size() - others);
  if (others > 0) projects.push_back(fmt::format("and {} more", others));
  for (const auto& source : status.sources)
    if (source.kind == "watch") folders.push_back(clean(source.path));
  // A run may be named with its project.
  for (const auto& stream : streams)
    if (!stream.container.empty()) known.push_back(stream.project + "/" + stream.container);
  std::ranges::move(api::container_names(status, streams), std::back_inserter(known));
  return fmt::format(
      "The daemon knows nothing of '{}': no run, model, project or workspace of that name was found in the watched "
      "folders ({}) or came over the socket{}.{} Known projects: {}. A run log that was just made is found within "
      "seconds; `neptune-sync flush` looks at once.",
      clean(question.text), folders.empty() ? "there are none" : fmt::format("{}", fmt::join(folders, ", ")),
      question.is_number ? ", and no change was handed in with that number" : "",
      clean(api::did_you_mean(question.text, known)),
      projects.empty() ? "none" : fmt::format("{}", fmt::join(projects, ", ")));
}

}  // namespace neptune::cli

#include "client/cli/explanation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "client/cli/explanation/change.h"
#include "client/cli/explanation/cures.h"
#include "client/cli/explanation/moved.h"
#include "client/cli/explanation/rejected.h"
#include "client/cli/explanation/scope.h"
#include "client/cli/explanation/sentences.h"
#include "client/cli/explanation/stream.h"
#include "client/lib/names.h"

namespace neptune::cli {

namespace {

class Explainer {
 public:
  Explainer(const Question& question, const api::Status& status, const std::vector<api::Stream>& streams)
      : question_(question), status_(status), streams_(streams), explainer_(status, question.now) {}

  std::vector<Explanation> run() {
    if (question_.change) found_.push_back(explain_change(*question_.change, question_.rejected, streams_, explainer_));
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

  void add(const api::Stream& stream) {
    found_.push_back(explainer_.explain(stream));
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
      found_.push_back(explainer_.explain_done(all));
    } else {
      add_moved(found_[before], all, question_.now);
      if (const auto there = what_is_there(all); !there.empty() && all.size() > 1)
        found_[before].state += " Already there: " + there + ".";
    }
    const auto is_looked_through = [](const auto& one) { return one.kind == "watch" && one.state == "settling_in"; };
    if (std::ranges::any_of(status_.sources, is_looked_through))
      add_uncounted(found_[before], " A watched folder is still being looked through: there may be more of it.");
  }

  /// Files that a log asks for and that are no stream yet: else they are told of there.
  std::uint64_t files_of_no_stream(const api::Stream& stream) const {
    const bool told = std::ranges::any_of(streams_, [&stream](const api::Stream& other) {
      return is_files(other) && other.source == stream.source && other.container == stream.container;
    });
    return is_files(stream) || told ? 0 : stream.uploads;
  }

  static std::string files_wait(std::uint64_t files) {
    return files == 1 ? "1 file waits to be uploaded." : count(files) + " files wait to be uploaded.";
  }

  void uploads(const api::Stream& stream) {
    const auto files = files_of_no_stream(stream);
    if (files == 0) return;
    const bool one = files == 1;
    found_.push_back({.subject = (one ? "A file of run " : "Files of run ") + clean(stream.container) + " of " +
                                 clean(stream.project),
                      .state = files_wait(files),
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
    if (source.state == "moved") one.state = "What was not synced of it was moved to another machine.";
    one.next = cure(one.waiting_for, source.project.value_or(""), source.run.value_or(""));
    found_.push_back(std::move(one));
  }

  void path() {
    const auto& path = question_.path;
    const auto meant = [&path](const std::string& other) {
      return api::within(path, other) || api::within(other, path);
    };
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
      if (found_.empty() && !question_.is_there && path != watch.path) return;  // mistyped
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
      one.state = question_.path == watch.path
                      ? "It is watched, and has no run there that is not synced."
                      : "It is watched, and nothing is known of " + clean(question_.path) + ".";
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
    auto one = explain_rejected(*rejected);
    one.state += " (No change was handed in with that number.)";
    found_.push_back(std::move(one));
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

  static void add_uncounted(Explanation& one, std::string_view why) {
    one.state += why;
    if (one.waiting_for == "nothing") one.waiting_for = "settling_in";
    if (one.next.empty()) one.next = cure("settling_in", {}, {});
  }

  /// `above`: of a project, its workspace.
  void scope(const api::ScopeStatus& scope, std::string subject, const std::string& name,
             const api::ScopeStatus* above = nullptr) {
    std::vector<const api::Stream*> streams;
    for (const auto& stream : streams_)
      if (api::within(stream.project, name)) streams.push_back(&stream);
    found_.push_back(explain_scope(scope, std::move(subject), name, above, question_.now));
    if (api::is_uncounted(status_.sources, name)) add_uncounted(found_.back(), " Not all of it is counted yet.");
    add_moved(found_.back(), streams, question_.now);
    std::ranges::move(explain_streams_of(name, streams_, explainer_), std::back_inserter(found_));
    files_in(name);
    for (const auto& source : status_.sources)
      if (source.project && api::within(*source.project, name) && is_no_stream_yet(source)) add(source);
    rejected_of([&name](const api::Rejected& rejected) { return api::within(rejected.project, name); });
  }

  static bool is_no_stream_yet(const api::SourceStatus& source) {
    return source.state == "set_aside" || source.state == "left_to_client" || source.state == "settling_in" ||
           source.state == "blocked";
  }

  void files_in(const std::string& scope) {
    std::uint64_t files = 0;
    for (const auto& stream : streams_)
      if (api::within(stream.project, scope)) files += files_of_no_stream(stream);
    if (files == 0) return;
    found_.push_back({.subject = "Files of " + clean(scope),
                      .state = files_wait(files),
                      .next = "Until they are uploaded, they and their logs are kept.",
                      .waiting_for = "uploads"});
  }

  template <class Meant>
  void rejected_of(Meant meant) {
    std::vector<const api::Rejected*> list;
    for (const auto& one : question_.rejected)
      if (meant(one)) list.push_back(&one);
    if (auto all = explain_rejected(list)) found_.push_back(std::move(*all));
  }

  const Question& question_;
  const api::Status& status_;
  const std::vector<api::Stream>& streams_;
  StreamExplainer explainer_;
  std::vector<Explanation> found_;
  std::set<std::string> told_;  // sources
};

}  // namespace

std::vector<Explanation> explain(const Question& question, const api::Status& status,
                                 const std::vector<api::Stream>& streams) {
  return Explainer(question, status, streams).run();
}

}  // namespace neptune::cli

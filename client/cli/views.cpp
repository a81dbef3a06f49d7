#include "client/cli/views.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <vector>

#include "client/cli/table.h"
#include "client/lib/modes.h"
#include "client/lib/names.h"
#include "client/lib/refusals.h"

namespace neptune::cli {

namespace {

/// With a full stop, however the sentence came.
std::string sentence(std::string_view text) {
  auto out = clean(text);
  while (!out.empty() && out.back() == ' ') out.pop_back();
  if (!out.empty() && std::string_view(".!?").find(out.back()) == std::string_view::npos) out += '.';
  return out;
}

class Problems {
 public:
  Problems(const Style& style, Length length) : style_(style), length_(length) {}

  void add(Colour colour, std::string_view text) {
    const std::string mark(columns("  ! "), ' ');
    // Wrapped, or cut, without the colour, which takes no columns.
    const auto told = with_short_paths(text);
    const auto brief = cut(told, style_.width - std::min(style_.width, mark.size())) + "\n";
    text_ += "  " + paint(style_, colour, "!") +
             (length_ == Length::brief ? " " + brief : wrap(told, style_.width, mark, mark).substr(3));
  }
  bool none() const { return text_.empty(); }
  const std::string& text() const { return text_; }

 private:
  /// A path that would take most of a line is cut in its middle; not in what is to be copied.
  std::string with_short_paths(std::string_view text) const {
    std::string out;
    bool command = false;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find(' ', at), text.size());
      const auto word = text.substr(at, end - at);
      const bool path = !command && word.starts_with('/');
      out += path ? short_path(word, style_.width * 2 / 3) : std::string(word);
      if (std::ranges::count(word, '`') % 2 != 0) command = !command;
      if (end < text.size()) out += ' ';
      at = end + 1;
    }
    return out;
  }

  const Style& style_;
  Length length_;
  std::string text_;
};

std::string held_changes(const api::ScopeStatus& scope, bool uncounted) {
  if (scope.held == 0 && uncounted) return "What waits behind it is not counted yet.";
  if (scope.held == 0) return "Nothing waits behind it yet.";
  return fmt::format("{} ({}) {} safe on disk{}.", changes(scope.held), bytes(scope.held_bytes),
                     scope.held == 1 ? "waits" : "wait", uncounted ? "; not all is counted yet" : "");
}

void add_scope_problem(Problems& problems, const api::Status& status, const api::ScopeStatus& scope,
                       const std::string& name, Now now) {
  const auto waits = held_changes(scope, api::is_uncounted(status.sources, name));
  const std::string reason = scope.reason ? ": " + *scope.reason : "";
  if (scope.mode == "read_only") {
    auto text = sentence(clean(name) + " is read-only" + api::for_as_long(scope.since, now) + reason) + " " + waits;
    if (scope.next_probe_at) text += " The next try is in " + until(scope.next_probe_at, now) + ".";
    problems.add(Colour::yellow, text);
  }
  if (scope.mode == "held" || scope.operator_hold) {
    const bool alone = scope.mode == "held";
    auto text = sentence(api::hold_in_words(clean(name), scope, now));
    if (alone) text += " " + waits;
    // What is read-only as well stays where it is.
    const auto* goes = !alone || scope.held == 0 ? "ends that" : scope.held == 1 ? "lets it go" : "lets them go";
    problems.add(Colour::yellow, text + " `neptune-sync release " + clean(name) + "` " + goes + ".");
  }
}

constexpr std::size_t stuck_shown = 5;

/// "3 changes of run r1 of ml-team/lab cannot go: ...; `neptune-sync explain r1` tells more."
void add_stuck(Problems& problems, const api::Status& status) {
  const auto& stuck = status.stuck;
  for (std::size_t i = 0; i < stuck.size() && i < stuck_shown; ++i) {
    const auto& one = stuck[i];
    const auto* const kind = one.is_of_one_run() ? "run " : one.is_of_one_model() ? "model " : "";
    problems.add(Colour::red,
                 fmt::format("{} of {}{} cannot go: {}{} `neptune-sync explain {}` tells more.", changes(one.changes),
                             *kind ? kind + clean(one.container) + " of " : "", clean(one.project), sentence(one.why),
                             one.missing == "project" ? clean(api::project_meant(one.project, status)) : "",
                             clean(*kind ? one.container : one.project)));
  }
  if (stuck.size() > stuck_shown)
    problems.add(Colour::red, "More changes cannot go: `neptune-sync streams` says which, and why.");
}

Problems problems_of(const api::Status& status, const Style& style, Now now, Length length) {
  Problems problems(style, length);
  if (status.state == "draining")
    problems.add(Colour::yellow, "The daemon is stopping; what is not synced yet stays on disk.");
  for (const auto& problem : status.problems) problems.add(Colour::red, sentence(problem));
  if (status.server.problem) {
    problems.add(Colour::red, sentence("The server cannot be asked: " + *status.server.problem) + " " +
                                  clean(status.server.remedy.value_or("")) + " Changes wait on disk meanwhile.");
  } else if (status.server.token_problem) {
    problems.add(Colour::red, sentence("There is no API token to use: " + *status.server.token_problem) + " " +
                                  clean(status.server.token_remedy.value_or("")) + " Changes wait on disk meanwhile.");
  } else if (status.server.token_remedy) {
    const auto why = status.server.last_error ? ": " + *status.server.last_error : std::string();
    problems.add(Colour::red, sentence("The API token is refused" + why) + " " + clean(*status.server.token_remedy) +
                                  " Changes wait on disk meanwhile.");
  } else if (!status.server.reachable && (status.server.last_error || status.server.last_success_at)) {
    std::string text =
        sentence("The server cannot be reached" + (status.server.last_error ? ": " + *status.server.last_error : ""));
    if (status.server.last_success_at)
      text += " It last answered " + since(status.server.last_success_at, now) + " ago.";
    problems.add(Colour::red, text + " Changes wait on disk meanwhile.");
  } else if (status.server.last_error) {
    problems.add(Colour::red, sentence("The server's last answer was an error: " + *status.server.last_error));
  }
  for (const auto& workspace : status.workspaces) {
    add_scope_problem(problems, status, workspace, workspace.name, now);
    for (const auto& project : workspace.projects) {
      if (project.inherited) continue;
      add_scope_problem(problems, status, project, api::full_name(workspace, project), now);
    }
  }
  add_stuck(problems, status);
  for (const auto& source : status.sources) {
    if (source.state == "set_aside" && source.kind == "watch")
      problems.add(Colour::yellow,
                   sentence("The watched folder " + source.detail.value_or(source.path + " cannot be read")));
    else if (source.state == "set_aside")
      problems.add(Colour::red,
                   sentence(source.path + " is set aside: " + source.detail.value_or("it cannot be read")));
    else if (source.state == "gone")
      problems.add(Colour::red, sentence(clean(source.detail.value_or(source.path + " is gone"))));
  }
  for (const auto& moved : status.moved)
    problems.add(Colour::yellow,
                 fmt::format("{} of {} {} moved to another machine {} ago in {}, which sends {}.",
                             changes(moved.changes), clean(moved.project), moved.changes == 1 ? "was" : "were",
                             since(moved.at, now), clean(moved.to), moved.changes == 1 ? "it" : "them"));
  return problems;
}

Colour mode_colour(const std::string& mode) {
  return mode == "normal" ? Colour::plain : Colour::yellow;
}

std::string mode_name(const std::string& mode) {
  return mode == "read_only" ? "read-only" : mode;
}

void add_scope_row(Table& table, const api::ScopeStatus& scope, const std::string& name, Now now) {
  table.add({{name, name.starts_with(' ') ? Colour::plain : Colour::bold},
             {mode_name(scope.mode), mode_colour(scope.mode)},
             {count(scope.pending)},
             {count(scope.held), scope.held > 0 ? Colour::yellow : Colour::plain},
             {count(scope.in_flight)},
             {count(scope.synced)},
             {count(scope.rejected_kept), scope.rejected_kept > 0 ? Colour::red : Colour::plain},
             {bytes(scope.pending_bytes)},
             {since(scope.oldest_pending_at, now)}});
}

/// All that ever was of it was rejected, and is dropped: a mistyped name, say.
bool is_past(const api::ScopeStatus& scope) {
  return scope.rejected > 0 && scope.pending + scope.held + scope.in_flight + scope.synced + scope.rejected_kept == 0 &&
         scope.own_mode() == "normal" && !scope.operator_hold;
}

std::string scopes_of(const api::Status& status, const Style& style, Now now) {
  Table table({{"SCOPE", false, true},
               {"MODE"},
               {"PENDING", true},
               {"HELD", true},
               {"SENT", true, false, true},
               {"SYNCED", true, false, true},
               {"REJECTED", true, false, true},
               {"SIZE", true, false, true},
               {"OLDEST", true, false, true}});
  for (const auto& workspace : status.workspaces) {
    if (is_past(workspace)) continue;
    add_scope_row(table, workspace, workspace.name, now);
    for (const auto& project : workspace.projects) {
      if (is_past(project)) continue;
      add_scope_row(table, project, "  " + project.name, now);
    }
  }
  return table.render(style);
}

constexpr std::size_t uploads_shown = 5;

std::string uploads_of(const api::Status& status, const Style& style) {
  std::string out;
  const auto& uploads = status.uploads;
  for (std::size_t i = 0; i < uploads.size() && i < uploads_shown; ++i)
    out += wrap(progress_of(uploads[i]) + ", of run " + clean(uploads[i].run) + " in " + clean(uploads[i].project),
                style.width, "  ↑ ", "    ");
  if (uploads.size() > uploads_shown)
    out += fmt::format("    and {} more; `neptune-sync streams` has them\n", uploads.size() - uploads_shown);
  return out;
}

std::string sources_of(const api::Status& status) {
  static const std::map<std::string, std::string> words{{"settling_in", "just found"},
                                                        {"live", "being written"},
                                                        {"closed", "closed"},
                                                        {"blocked", "blocked"},
                                                        {"set_aside", "set aside"},
                                                        {"synced", "synced"},
                                                        {"moved", "moved"},
                                                        {"left_to_client", "left to the client's own sync"}};
  std::map<std::string, std::size_t> states;
  std::size_t folders = 0, limited = 0;
  for (const auto& source : status.sources) {
    if (source.kind == "watch") {
      folders += source.state == "set_aside" ? 0 : 1;
      limited += source.state == "watching" && source.detail ? 1 : 0;
    } else if (const auto word = words.find(source.state); source.kind != "change-queue" && word != words.end()) {
      ++states[word->second];
    }
  }
  std::string text = folders == 0 ? "No folder is watched."
                                  : fmt::format("{} {} watched.", folders, folders == 1 ? "folder is" : "folders are");
  if (limited > 0) {
    text.pop_back();
    text += folders == 1 ? ", with a limit" : fmt::format(", {} of them with a limit", limited);
    text += " (`neptune-sync doctor` tells it).";
  }
  if (states.empty()) return text;
  std::string list;
  for (const auto& [word, n] : states) list += fmt::format("{}{} {}", list.empty() ? "" : ", ", n, word);
  return text + " Sources: " + list + ".";
}

std::size_t in_state(const api::Status& status, std::string_view state, bool folders = false) {
  return static_cast<std::size_t>(std::ranges::count_if(status.sources, [&](const api::SourceStatus& source) {
    return source.state == state && (source.kind == "watch") == folders;
  }));
}

/// "2 logs were just found and are not counted yet"; empty when all is.
std::string what_is_uncounted(const api::Status& status) {
  const auto found = in_state(status, "settling_in");
  if (found == 1) return "a log was just found and is not counted yet";
  if (found > 1) return fmt::format("{} logs were just found and are not counted yet", found);
  return in_state(status, "settling_in", true) > 0 ? "what is in the watched folders is not counted yet" : "";
}

std::string verdict(const api::Status& status, const Style& style, bool no_problems) {
  const auto& totals = status.totals;
  const auto left = totals.pending + totals.held + totals.in_flight;
  const auto is_not_synced = [](const api::SourceStatus& source) {
    return source.state == "set_aside" || source.state == "gone";
  };
  const bool some_else = std::ranges::any_of(status.sources, is_not_synced) || !status.moved.empty();
  const auto uncounted = what_is_uncounted(status);
  const auto blocked = in_state(status, "blocked");
  std::string done = some_else || !status.problems.empty() ? "Everything else is synced." : "Everything is synced.";
  if (!uncounted.empty()) {
    no_problems = false;
    done = fmt::format("All that was counted is synced; {}.", uncounted);
  } else if (blocked > 0) {
    no_problems = false;
    done = fmt::format("All that was counted is synced; {} go on now: `neptune-sync streams` says why.",
                       blocked == 1 ? "a stream cannot" : fmt::format("{} streams cannot", blocked));
  }
  std::string text = left > 0 ? "" : paint(style, no_problems ? Colour::green : Colour::plain, done) + " ";
  if (left > 0)
    text = fmt::format("{} ({}) not synced yet{}{}. ", changes(left), bytes(totals.pending_bytes),
                       uncounted.empty() ? "" : "; ", uncounted);
  if (totals.rejected_kept > 0)
    text += fmt::format("{} rejected and kept; `neptune-sync rejected` says why. ", changes(totals.rejected_kept));
  text.pop_back();
  return text;
}

Colour state_colour(const std::string& state) {
  if (state == "held" || state == "blocked") return Colour::yellow;
  return state == "done" || state == "idle" ? Colour::dim : Colour::plain;
}

std::string to_the_second(const std::string& time) {
  if (time.size() < 19 || time[10] != 'T') return clean(time);
  return clean(time.substr(0, 10) + " " + time.substr(11, 8) + "Z");
}

/// Painted afterwards: colours take no columns.
std::string header_of(const api::Status& status, const Style& style, Now now) {
  const auto name = "neptune-syncd " + clean(status.version);
  auto text = name + " · " + clean(status.state) + api::for_as_long(status.started_at, now);
  if (!status.server.url.empty()) text += " · " + clean(status.server.url);
  const auto lines = wrap(text, style.width, "", "  ");
  return lines.starts_with(name) ? paint(style, Colour::bold, name) + lines.substr(name.size()) : lines;
}

}  // namespace

std::string view(const api::Status& status, const Style& style, Now now, Length length, const std::string& which) {
  const auto problems = problems_of(status, style, now, length);
  std::string out;
  if (length == Length::whole || problems.none()) out += header_of(status, style, now);
  if (!which.empty()) out += wrap(clean(which), style.width, "  ", "  ");
  if (!out.empty()) out += "\n";
  if (!problems.none()) out += problems.text() + "\n";
  if (!std::ranges::all_of(status.workspaces, is_past)) out += scopes_of(status, style, now) + "\n";
  if (!status.uploads.empty()) out += uploads_of(status, style) + "\n";
  out += wrap(verdict(status, style, problems.none()), style.width, "", "");
  out += wrap(sources_of(status), style.width, "", "");
  return out;
}

std::string name_of(const api::Stream& stream) {
  if (stream.container_type == "files") return "files of " + stream.container;
  return stream.container.empty() ? stream.container_type : stream.container;
}

std::string view(const api::StreamList& list, const Style& style, Now now) {
  Table table({{"RUN", false, true},
               {"PROJECT", false, true},
               {"STATE"},
               {"PENDING", true},
               {"HELD", true},
               {"SENT", true, false, true},
               {"SYNCED", true, false, true},
               {"REJECTED", true, false, true},
               {"SIZE", true, false, true},
               {"OLDEST", true, false, true}},
              "WHY");
  for (const auto& stream : list.streams) {
    auto why = stream.why;
    for (const auto& upload : stream.active_uploads) why += (why.empty() ? "" : "; ") + progress_of(upload);
    if (stream.uploads > 0 && stream.container_type != "files")
      why += fmt::format("{}{} to be uploaded.", why.empty() ? "" : " ",
                         stream.uploads == 1 ? "1 file waits" : count(stream.uploads) + " files wait");
    if (stream.moved > 0)
      why += fmt::format("{}{} moved to another machine in {}", why.empty() ? "" : "; ", changes(stream.moved),
                         stream.moved_to);
    table.add({{name_of(stream), Colour::bold},
               {stream.project},
               {stream.state, state_colour(stream.state)},
               {count(stream.pending)},
               {count(stream.held), stream.held > 0 ? Colour::yellow : Colour::plain},
               {count(stream.in_flight)},
               {count(stream.synced)},
               {count(stream.rejected_kept), stream.rejected_kept > 0 ? Colour::red : Colour::plain},
               {bytes(stream.pending_bytes)},
               {since(stream.oldest_pending_at, now)}},
              why);
  }
  return table.render(style);
}

namespace {

/// What a container is called.
std::string container_word(const std::string& type) {
  if (type == "model") return "model";
  if (type == "model_version") return "version";
  return type == "run" || type == "files" ? "run" : "of";
}

/// What is a workspace's alone, as an invitation is, comes as "ml-team/".
std::string whose(const std::string& project) {
  return project.substr(0, project.size() - (project.ends_with('/') ? 1 : 0));
}

/// By which number it was handed in; what came from a log has none.
std::string change_number(const api::Rejected& rejected) {
  return rejected.source.starts_with(api::queue_source) ? std::to_string(rejected.position) : "-";
}

}  // namespace

std::string view(const api::RejectedList& list, const Style& style, Now now) {
  if (list.rejected.empty()) return "Nothing was rejected.\n";
  Table table({{"REJECTED", true},
               {"CHANGE", true},
               {"AGE", true},
               {"PROJECT", false, true},
               {"NAME", false, true},
               {"KIND"},
               {"CODE", false, true}},
              "REASON");
  for (const auto& one : list.rejected)
    table.add({{std::to_string(one.id), Colour::bold},
               {change_number(one)},
               {since(one.at, now)},
               {whose(one.project)},
               {one.container},
               {one.kind},
               {one.code, Colour::red}},
              one.reason);
  auto out = table.render(style);
  if (list.next_before)
    out += fmt::format("\nThere are older ones: neptune-sync rejected --before {}\n", *list.next_before);
  return out;
}

std::string view(const api::Rejected& rejected, const Style& style) {
  const bool from_queue = rejected.source.starts_with(api::queue_source);
  std::vector<std::pair<std::string, std::string>> lines{
      {"rejected", std::to_string(rejected.id)},
      {"rejected at", to_the_second(rejected.at)},
      {rejected.project.ends_with('/') ? "workspace" : "project", whose(rejected.project)},
      {container_word(rejected.container_type), rejected.container},
      {"kind", rejected.kind},
      {"size", bytes(rejected.bytes)},
      {"source", rejected.source},
      {from_queue ? "change" : "position", std::to_string(rejected.position)},
      {"code", rejected.code},
      {"reason", rejected.reason}};
  if (!rejected.part.empty())
    lines.emplace_back("refused", fmt::format("{}; the rest of it is on the server", fmt::join(rejected.part, ", ")));
  if (const auto means = api::meaning(rejected.code); !means.empty()) lines.emplace_back("that is", means);
  std::string out;
  for (const auto& [name, value] : lines) {
    if (value.empty()) continue;  // what is of no run
    const auto first = fmt::format("{:<13}", name);
    const auto text = wrap(clean(value), style.width, std::string(first.size(), ' '), std::string(first.size(), ' '));
    out += paint(style, Colour::dim, first) + text.substr(first.size());
  }
  return out + "\n" +
         wrap(fmt::format("`neptune-sync rejected retry {0}` sends it again; `... discard {0}` drops it; "
                          "`... show {0} --payload` writes out its bytes.",
                          rejected.id),
              style.width, "", "");
}

Colour colour_of(const api::Event& event) {
  static const std::map<std::string, Colour> colours{
      {"mode_changed", Colour::yellow}, {"hold", Colour::yellow},
      {"gap", Colour::yellow},          {"source_set_aside", Colour::red},
      {"rejected", Colour::red},        {"server_unreachable", Colour::red},
      {"token_rejected", Colour::red},  {"server_reachable", Colour::green},
      {"release", Colour::green},       {"changes_lost", Colour::red}};
  const auto found = colours.find(event.type);
  return found == colours.end() ? Colour::plain : found->second;
}

std::string view(const api::Event& event, const Style& style) {
  constexpr std::size_t beside = 110;  // from there on enough of a line is left beside the rest
  const auto when = fmt::format("{:>6}  {}", event.id, to_the_second(event.at));
  const auto type = fmt::format("{:<18}", clean(event.type));
  const auto head = columns(when) + 2 + columns(type) + 2;
  const auto message = clean(event.message);
  const auto line = paint(style, Colour::dim, when) + "  " + paint(style, colour_of(event), type);
  if (style.width == 0 || head + columns(message) <= style.width) return line + "  " + message + "\n";
  const std::string indent(style.width < beside ? 8 : head, ' ');
  const auto lines = wrap(message, style.width, indent, indent);
  if (style.width >= beside) return line + "  " + lines.substr(head);
  return paint(style, Colour::dim, when) + "  " + paint(style, colour_of(event), clean(event.type)) + "\n" + lines;
}

std::string view(const api::FlushReply& reply, const api::Status& status) {
  const auto left = reply.pending + reply.held + reply.in_flight;
  const bool token_refused = status.server.token_remedy.has_value();
  const auto aside = std::ranges::count(status.sources, "set_aside", &api::SourceStatus::state);
  if (left == 0 && aside > 0)
    return fmt::format(
        "All that can be read is synced. {} set aside, and {} looked at again now: `neptune-sync status` says why.\n",
        aside == 1 ? "1 log or folder is" : fmt::format("{} logs and folders are", aside), aside == 1 ? "is" : "are");
  if (left == 0 && std::ranges::count(status.sources, "settling_in", &api::SourceStatus::state) > 0)
    return "All that was looked into is synced; something was just found.\n";
  if (left == 0 && std::ranges::count(status.sources, "blocked", &api::SourceStatus::state) > 0)
    return "All that was counted is synced; something cannot go on now: `neptune-sync streams` says why.\n";
  if (left == 0 && std::ranges::count(status.sources, "gone", &api::SourceStatus::state) > 0)
    return "All that is there is synced; something was removed before it was: `neptune-sync status` says what.\n";
  if (left == 0 && !status.moved.empty())
    return "Everything else is synced; something was moved to another machine: `neptune-sync status` says what.\n";
  if (left == 0) return "Everything is synced.\n";
  const bool tried = !token_refused && !status.server.problem;
  auto text = fmt::format("{}{} not synced yet", tried ? "Trying everything now: " : "", changes(left));
  if (reply.held > 0) text += fmt::format(", {} of them held", count(reply.held));
  if (token_refused)
    text +=
        ". Nothing is tried with the API token that the server refused: `neptune-sync doctor` says where a new one "
        "goes, and that is tried at once";
  if (status.server.problem)
    text += ". Nothing is tried, as the server cannot be asked: `neptune-sync status` says why, and what ends that";
  return text + ".\n";
}

std::string view(const api::WorkspaceList& list, const Style& style) {
  Table table({{"PROJECT", false, true}, {"MODE"}, {"NOT SYNCED", true}, {"REJECTED", true}});
  bool any = false;
  for (const auto& workspace : list.workspaces)
    for (const auto& project : workspace.projects) {
      any = true;
      table.add({{api::full_name(workspace, project), Colour::bold},
                 {mode_name(project.mode), mode_colour(project.mode)},
                 {count(project.pending + project.held + project.in_flight)},
                 {count(project.rejected_kept), project.rejected_kept > 0 ? Colour::red : Colour::plain}});
    }
  return any ? table.render(style) : "The daemon has seen no changes of any project yet.\n";
}

std::string view(const api::ServerProjectList& list, const Style& style) {
  Table table({{"PROJECT", false, true}, {"VISIBILITY"}, {"KEY"}, {"DESCRIPTION"}});
  for (const auto& project : list.projects)
    table.add({{clean(project.name), Colour::bold},
               {clean(project.visibility) + (project.archived ? ", archived" : "")},
               {clean(project.key)},
               {clean(project.description)}});
  return list.projects.empty() ? "The server lists no projects there.\n" : table.render(style);
}

std::string view(const api::MemberList& list, bool service_accounts, const Style& style) {
  Table table({{service_accounts ? "ACCOUNT" : "MEMBER", false, true}, {"ROLE"}});
  bool any = false;
  for (const auto& member : list.members) {
    if (member.service_account != service_accounts) continue;
    any = true;
    table.add({{clean(member.name), Colour::bold}, {clean(member.role)}});
  }
  return any ? table.render(style) : "Nobody of that kind has a role there.\n";
}

void Accepted::add(const api::SubmitReply& reply) {
  changes += reply.accepted;
  ids.add(reply.ids);
  scopes.insert(reply.scopes.begin(), reply.scopes.end());
}

std::string numbers_of(const Accepted& accepted) {
  const auto& ids = accepted.ids;
  if (accepted.changes != ids.size() || !ids.in_a_row()) return {};
  if (ids.size() == 1) return fmt::format(" (change {})", ids.front());
  return fmt::format(" (changes {} to {})", ids.front(), ids.back());
}

std::string view(const Accepted& accepted, const std::optional<std::string>& run, bool hint, std::size_t width) {
  const auto& scopes = accepted.scopes;
  const bool one = accepted.changes == 1;
  const auto scope = scopes.empty() ? std::string() : clean(*scopes.begin());
  std::string where;
  if (run) where = " of " + clean(*run);
  if (!scopes.empty()) where += (run ? " in " : " of ") + scope;
  if (scopes.size() > 1) where += fmt::format(" and {} more", scopes.size() - 1);
  auto text = fmt::format("Accepted {}{}{}; {} safe on disk.", changes(accepted.changes), where, numbers_of(accepted),
                          one ? "it is" : "they are");
  if (hint && scopes.size() == 1)
    text += fmt::format(" `neptune-sync wait {}--project {} --now` waits until the server has {}.",
                        run ? "--run " + clean(*run) + " " : "", scope, one ? "it" : "them");
  return wrap(text, width, "", "");
}

std::string view(const api::ReleasePlan& plan, const Style& style) {
  auto text = fmt::format(
      "`neptune-sync release {}` would let {}", clean(plan.scope),
      plan.changes == 0 ? "nothing go now." : fmt::format("{} ({}) go.", changes(plan.changes), bytes(plan.bytes)));
  if (plan.seconds && plan.changes > 0)
    text += fmt::format(" At the present rate that takes {}.",
                        age(std::chrono::seconds(static_cast<std::int64_t>(*plan.seconds))));
  if (plan.storage_available && plan.changes > 0) {
    const auto left = *plan.storage_available;
    const bool fits = plan.fits.value_or(true);
    const auto* fit = plan.changes == 1 ? (fits ? "it fits" : "it does not fit")
                      : fits            ? "they fit"
                                        : "they do not fit";
    text += fmt::format(" The server has {} of storage left there: {}.",
                        left > 0 ? bytes(static_cast<std::uint64_t>(left)) : "nothing", fit);
  }
  if (plan.staying > 0)
    text += fmt::format(" {} ({}) would stay here.", changes(plan.staying), bytes(plan.staying_bytes));
  if (plan.uncounted) text += " Not all that waits is counted yet: ask again in a moment.";
  if (!plan.message.empty()) text += " " + sentence(plan.message);
  if (plan.changes > 0) text += " Nothing was released now.";
  return wrap(text, style.width, "", "");
}

std::string view(const std::vector<api::Check>& checks, const Style& style) {
  // The longest name that is usual: what is found later stands below what was found first.
  std::size_t longest = std::string_view("connection").size();
  for (const auto& check : checks) longest = std::max(longest, columns(check.check));
  std::string out;
  for (const auto& check : checks) {
    const bool warns = check.state == "warn", fails = check.state == "fail";
    const auto colour = fails ? Colour::red : warns ? Colour::yellow : Colour::green;
    const auto first = fmt::format("{:<4}  {:<{}}  ", clean(check.state), clean(check.check), longest);
    const std::string indent(columns(first), ' ');
    // Painted afterwards: colours take no columns.
    out += paint(style, colour, first.substr(0, 4)) + wrap(clean(check.message), style.width, first, indent).substr(4);
    if (!check.remedy.empty()) out += wrap(clean(check.remedy), style.width, indent + "-> ", indent + "   ");
  }
  return out;
}

std::string verdict(const api::Diagnosis& diagnosis, const Style& style) {
  const auto failures = std::ranges::count(diagnosis.checks, "fail", &api::Check::state);
  const auto warnings = std::ranges::count(diagnosis.checks, "warn", &api::Check::state);
  const auto number = [](auto n, std::string_view one) { return fmt::format("{} {}{}", n, one, n == 1 ? "" : "s"); };
  if (failures + warnings == 0) return "\n" + paint(style, Colour::green, "All is well.") + "\n";
  return "\n" + number(failures, "failure") + ", " + number(warnings, "warning") + ".\n";
}

namespace {

/// "p.png, q.png and 3 more stay there".
std::string what_is_left(const api::TidyItem& item) {
  constexpr std::size_t most = 5;
  const auto shown = std::min(item.left.size(), most);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < shown; ++i) names.push_back(clean(item.left[i]));
  const auto more = item.left.size() - shown;
  return fmt::format("{}{} {} there", fmt::join(names, ", "), more > 0 ? fmt::format(" and {} more", more) : "",
                     item.left.size() == 1 ? "stays" : "stay");
}

}  // namespace

std::string view(const api::TidyReply& reply, const Style& style) {
  auto items = reply.found;
  const auto stays = [](const api::TidyItem& item) { return item.action == "kept"; };
  std::ranges::stable_sort(items, [&stays](const api::TidyItem& a, const api::TidyItem& b) {
    return stays(a) != stays(b) ? stays(b) : a.bytes > b.bytes;
  });
  std::string out;
  std::uint64_t gone = 0, removable = 0, gone_bytes = 0;
  for (const auto& item : items) {
    gone += item.action == "removed" ? 1 : 0;
    removable += item.action == "removable" ? 1 : 0;
    if (!stays(item)) gone_bytes += item.bytes;
    const auto colour = stays(item) ? Colour::yellow : Colour::green;
    out += paint(style, colour, fmt::format("{:<9}", clean(item.action))) +
           fmt::format("  {:>9}  {}\n", bytes(item.bytes), clean(item.path));
    auto why = clean(item.why);
    if (!item.left.empty()) why = what_is_left(item) + (why.empty() ? "" : ": " + why);
    if (!why.empty()) out += wrap(why, style.width, "           ", "           ");
  }
  const auto logs = [](std::uint64_t n) { return fmt::format("{} log{}", n, n == 1 ? "" : "s"); };
  const auto kept = items.size() - gone - removable;
  if (items.empty()) return "There is no log here that the daemon knows.\n";
  if (gone + removable == 0)
    out += fmt::format("\nNothing can be removed now; {} kept.\n", logs(kept));
  else if (removable > 0)
    out += fmt::format("\n{} ({}) would be removed, {} kept.\n", logs(removable), bytes(gone_bytes), kept);
  else
    out += fmt::format("\n{} removed ({}), {} kept.\n", logs(gone), gone_bytes > 0 ? bytes(gone_bytes) : "0 B", kept);
  return out;
}

bool anything_held(const api::Status& status) {
  if (status.totals.held > 0) return true;
  const auto holds = [](const api::ScopeStatus& scope) {
    return scope.held > 0 || scope.mode == "held" || scope.operator_hold;
  };
  for (const auto& workspace : status.workspaces)
    if (holds(workspace) || std::ranges::any_of(workspace.projects, holds)) return true;
  return false;
}

}  // namespace neptune::cli

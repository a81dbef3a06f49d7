#include "client/lib/names.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>

#include "support/spelling.h"

namespace neptune::api {

std::string full_name(const WorkspaceStatus& workspace, const ProjectStatus& project) {
  return workspace.name + "/" + project.name;
}

bool within(std::string_view name, std::string_view scope) {
  return name == scope || (name.starts_with(scope) && name.size() > scope.size() && name[scope.size()] == '/');
}

std::vector<std::string> scope_names(const Status& status) {
  std::set<std::string> names;
  for (const auto& workspace : status.workspaces) {
    names.insert(workspace.name);
    for (const auto& project : workspace.projects) names.insert(full_name(workspace, project));
  }
  return {names.begin(), names.end()};
}

std::string project_meant(const std::string& project, const Status& status) {
  std::vector<std::string> there;
  for (const auto& workspace : status.workspaces)
    for (const auto& each : workspace.projects)
      if (each.synced > 0 && full_name(workspace, each) != project) there.push_back(full_name(workspace, each));
  return did_you_mean(project, there);
}

std::vector<std::string> container_names(const Status& status, const std::vector<Stream>& streams) {
  std::set<std::string> names;
  for (const auto& stream : streams)
    if (!stream.container.empty() && stream.container_type != "removals") names.insert(stream.container);
  for (const auto& source : status.sources)
    if (source.run) names.insert(*source.run);
  return {names.begin(), names.end()};
}

namespace {

constexpr std::size_t few = 5;              // names in one sentence
constexpr std::size_t digits_of_time = 10;  // at least: that of seconds
constexpr std::size_t surely_whole = 60;    // what is longer, the client may have cut
constexpr std::size_t surely_of_the_name = 20;

/// Letters, digits and -, and one underscore for all that is between: whatever a client leaves of a name, it comes out
/// the same.
std::string plain(std::string_view name) {
  std::string text;
  for (const auto c : name) {
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
    if (kept || !text.ends_with('_')) text += kept ? c : '_';
  }
  return text;
}

/// As a part of a folder's name, between underscores; of one that may have been cut, its beginning.
std::string part_of_name(const std::string& name) {
  auto text = plain("_" + name);
  if (name.size() > surely_whole) return text.substr(0, surely_of_the_name);
  if (!text.ends_with('_')) text += '_';
  return text;
}

bool is_unread(const SourceStatus& source) {
  return source.kind != "watch" && !source.project && source.state != "left_to_client";
}

/// Of a log's folder, what is before the time, if that has so many digits; else nothing.
std::string names_in_folder(const SourceStatus& source, std::size_t digits) {
  const auto folder = plain("_" + source.path.substr(source.path.rfind('/') + 1));
  auto names = folder.substr(0, folder.find_last_not_of("0123456789") + 1);
  const bool has_time = folder.size() - names.size() >= digits && names.ends_with('_');
  return source.kind == "run-log" && has_time ? names : std::string();
}

bool are_of(const std::string& names, const std::optional<std::string>& project,
            const std::optional<std::string>& run) {
  if (project && !names.starts_with(part_of_name(*project))) return false;
  if (!run) return true;
  const auto part = part_of_name(*run);
  return part.ends_with('_') ? names.ends_with(part) : names.find(part) != std::string::npos;
}

}  // namespace

bool may_be_log_of(const SourceStatus& source, const std::optional<std::string>& project,
                   const std::optional<std::string>& run) {
  if (!is_unread(source)) return false;
  const auto names = names_in_folder(source, digits_of_time);
  return names.empty() || are_of(names, project, run);
}

bool is_named_as_log_of(const SourceStatus& source, const std::optional<std::string>& project,
                        const std::optional<std::string>& run) {
  if (!is_unread(source)) return false;
  const auto names = names_in_folder(source, 1);
  return !names.empty() && are_of(names, project, run);
}

bool is_uncounted(const std::vector<SourceStatus>& sources, std::string_view scope) {
  const auto meant = [name = std::string(scope)](const SourceStatus& source) {
    if (source.project) return within(*source.project, name);
    return source.kind == "watch" || may_be_log_of(source, name, std::nullopt);
  };
  return std::ranges::any_of(
      sources, [&meant](const SourceStatus& source) { return source.state == "settling_in" && meant(source); });
}

Unread what_is_unread(const std::vector<SourceStatus>& sources, const std::optional<std::string>& project,
                      const std::optional<std::string>& run) {
  Unread unread;
  std::size_t found = 0;
  for (const auto& source : sources) {
    if (source.kind == "watch" && source.state == "settling_in")
      unread.text += " The watched folder " + source.path + " is being looked through.";
    if (!may_be_log_of(source, project, run)) continue;
    unread.named = unread.named || is_named_as_log_of(source, project, run);
    if (found++ >= few) continue;
    auto why = source.detail.value_or("it is being looked at");
    if (why.ends_with('.')) why.pop_back();
    unread.text += " " + source.path +
                   (source.state == "set_aside" ? " is set aside: " : " was found, and is not read yet: ") + why + ".";
  }
  if (found > few) unread.text += " So were " + std::to_string(found - few) + " more.";
  return unread;
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& known) {
  const auto near = closest(name, known);
  return near.empty() || near == name ? "" : " Did you mean " + near + "?";
}

namespace {

/// Of its workspace, where that is known, or else of all workspaces.
std::string known_instead(const std::string& scope, const std::vector<std::string>& known) {
  const auto workspace = scope.substr(0, scope.find('/'));
  const bool of_workspace = std::ranges::find(known, workspace) != known.end();
  std::vector<std::string> names;
  for (const auto& name : known)
    if (of_workspace ? name.starts_with(workspace + "/") : name.find('/') == std::string::npos) names.push_back(name);
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < few; ++i) text += (text.empty() ? "" : ", ") + names[i];
  if (names.size() > few) text += " and " + std::to_string(names.size() - few) + " more";
  if (text.empty()) return of_workspace ? " No project of " + workspace + " is." : text;
  return (of_workspace ? " Known of " + workspace + ": " : " Known workspaces: ") + text + ".";
}

}  // namespace

std::string of_unknown(const std::string& text, const std::string& scope, const std::vector<std::string>& known,
                       const std::vector<SourceStatus>& sources) {
  const auto unread = what_is_unread(sources, scope, std::nullopt);
  if (unread.named) return unread.text;
  const auto meant = did_you_mean(scope, known);
  return text + (meant.empty() ? known_instead(scope, known) : meant) + unread.text;
}

}  // namespace neptune::api

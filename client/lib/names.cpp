#include "client/lib/names.h"

#include <cctype>
#include <set>

#include "support/spelling.h"

namespace neptune::api {

std::string full_name(const WorkspaceStatus& workspace, const ProjectStatus& project) {
  return workspace.name + "/" + project.name;
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

std::string as_in_a_folder(std::string name) {
  for (auto& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-') c = '_';
  return name;
}

}  // namespace

bool may_be_log_of(const SourceStatus& source, const std::optional<std::string>& project,
                   const std::optional<std::string>& run) {
  if (source.run || source.kind == "watch" || source.state != "settling_in") return false;
  auto folder = as_in_a_folder(source.path.substr(source.path.rfind('/') + 1));
  folder.resize(folder.find_last_not_of("0123456789") + 1);
  return (!run || folder.ends_with("_" + as_in_a_folder(*run) + "_")) &&
         (!project || folder.starts_with(as_in_a_folder(*project) + "_"));
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& known) {
  const auto near = closest(name, known);
  return near.empty() || near == name ? "" : " Did you mean " + near + "?";
}

}  // namespace neptune::api

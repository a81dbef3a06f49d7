#include "client/lib/names.h"

#include <set>

#include "support/spelling.h"

namespace neptune::api {

std::vector<std::string> scope_names(const Status& status) {
  std::set<std::string> names;
  for (const auto& workspace : status.workspaces) {
    names.insert(workspace.name);
    // They come with their workspace, or without.
    for (const auto& project : workspace.projects)
      names.insert(project.name.starts_with(workspace.name + "/") ? project.name : workspace.name + "/" + project.name);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> container_names(const Status& status, const std::vector<Stream>& streams) {
  std::set<std::string> names;
  for (const auto& stream : streams)
    if (!stream.container.empty() && stream.container_type != "removals") names.insert(stream.container);
  for (const auto& source : status.sources)
    if (source.run) names.insert(*source.run);
  return {names.begin(), names.end()};
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& known) {
  const auto near = closest(name, known);
  return near.empty() || near == name ? "" : " Did you mean " + near + "?";
}

}  // namespace neptune::api

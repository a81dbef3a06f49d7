#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/lib/types.h"

/// What the daemon knows by name, for a word that names none of it.
namespace neptune::api {

/// "ml-team/lab": a project comes in its workspace, by its own name.
std::string full_name(const WorkspaceStatus& workspace, const ProjectStatus& project);
/// Whether a project, or a path, is `scope` or below it.
bool within(std::string_view name, std::string_view scope);
/// "ml-team" and "ml-team/lab".
std::vector<std::string> scope_names(const Status& status);
/// Runs, models and others, by themselves: "trial-7".
std::vector<std::string> container_names(const Status& status, const std::vector<Stream>& streams);

/// " Did you mean ml-team/lab?" of a project that the server does not know: one of which something is synced.
std::string project_meant(const std::string& project, const Status& status);

// Of a log that was not looked into yet, or cannot be: the client makes its folder's name of the project, the run and
// the time, sanitised and cut.

/// Its folder's name says that it is a log of this project and run, or does not say whose it is.
bool may_be_log_of(const SourceStatus& source, const std::optional<std::string>& project,
                   const std::optional<std::string>& run);
/// Its folder's name says so.
bool is_named_as_log_of(const SourceStatus& source, const std::optional<std::string>& project,
                        const std::optional<std::string>& run);

/// Something of the scope, or maybe of it, was found, or may be in a folder, and is not counted yet.
bool is_uncounted(const std::vector<SourceStatus>& sources, std::string_view scope);

/// What was found and is not read yet.
struct Unread {
  bool named = false;  ///< some of it by a name that says that it is of what is asked for
  std::string text;    ///< sentences, each after a space
};
Unread what_is_unread(const std::vector<SourceStatus>& sources, const std::optional<std::string>& project,
                      const std::optional<std::string>& run);

/// " Did you mean trial-7?"; empty when nothing that is known is near.
std::string did_you_mean(const std::string& name, const std::vector<std::string>& known);

/// What is said of a workspace or project that is not among those known by name: `text`, and the name that may be
/// meant, or else those that are known. Of one that is about to be known, that alone, after a space.
std::string of_unknown(const std::string& text, const std::string& scope, const std::vector<std::string>& known,
                       const std::vector<SourceStatus>& sources);

}  // namespace neptune::api

#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "changes/names.h"
#include "server/impl/api.h"

/// From names to the server's ids, remembered in Api::names.
namespace neptune::server {

/// An id, and where it comes from.
struct Found {
  Known known;
  bool remembered = false;  ///< from an earlier call: it may be out of date
};

boost::asio::awaitable<Answer<Found>> find_project(std::shared_ptr<Api> api, ProjectName project);

/// Where no id says which: a run by its custom id (the server's search), else its short id; a model or version by its
/// short id or its key; the project itself. What does not exist is refused as "run_not_found" and its like, with the
/// status 404.
boost::asio::awaitable<Answer<Found>> find_container(std::shared_ptr<Api> api, Addressed container);

/// The container with this id, under the names that find_container takes. That it is there is remembered of its id, not
/// of the name.
boost::asio::awaitable<Answer<ContainerName>> container_with_id(std::shared_ptr<Api> api, ContainerKind kind,
                                                                std::string id);

/// Whether a call that failed so found no such project. A 404 that does not say it (is_missing) is believed when the
/// list of the workspace's projects lacks it.
boost::asio::awaitable<bool> is_gone(std::shared_ptr<Api> api, ProjectName project, Failure failure);

/// After a call with a remembered id was answered with 404: forgets it. True when it is worth looking up again.
bool forget_stale(Api& api, const Addressed& container, const Found& used, const Failure& failure);

void forget(Api& api, const Addressed& container);
void remember(Api& api, const ContainerName& container, std::string id);
/// The project is gone, or has another name: nothing remembered of it holds.
void forget_all(Api& api, const ProjectName& project);

/// "workspace/project/LAB-12", how the server names a container.
std::string identifier_of(const ProjectName& project, std::string_view short_id);
/// "LAB-12": what the server calls a run of its own.
bool looks_like_a_short_id(std::string_view run);

boost::asio::awaitable<Answer<bool>> has_run(std::shared_ptr<Api> api, ContainerName run);

boost::asio::awaitable<Answer<std::string>> id_of(std::shared_ptr<Api> api, ContainerName container);

boost::asio::awaitable<Answer<std::int64_t>> last_version(std::shared_ptr<Api> api, ContainerName model);

struct FoundRun {
  std::string id;
  std::string short_id;
};

/// By custom id, those of `custom_ids` that the project holds, in its trash or outside. At most `search_ids`.
boost::asio::awaitable<Answer<std::map<std::string, FoundRun>>> search_runs(std::shared_ptr<Api> api,
                                                                            ProjectName project,
                                                                            std::vector<std::string> custom_ids,
                                                                            bool trashed);
inline constexpr std::size_t search_ids = 100;

}  // namespace neptune::server

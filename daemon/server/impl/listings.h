#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "server/impl/api.h"

namespace neptune::server {

inline constexpr std::size_t longest_listing = 8u << 20;  ///< bytes of an answer that lists people or projects

inline constexpr std::size_t most_projects_listed = 10'000;  ///< our own bound

boost::asio::awaitable<Answer<std::vector<ProjectFacts>>> list_projects(std::shared_ptr<Api> api,
                                                                        std::string workspace);
/// People, or the service accounts.
boost::asio::awaitable<Answer<std::vector<MemberFacts>>> list_members(std::shared_ptr<Api> api, ProjectName project,
                                                                      bool service_accounts);
boost::asio::awaitable<Answer<std::vector<MemberFacts>>> list_everybody(std::shared_ptr<Api> api, ProjectName project);
boost::asio::awaitable<Answer<WorkspaceType>> workspace_type(std::shared_ptr<Api> api, std::string workspace);

}  // namespace neptune::server

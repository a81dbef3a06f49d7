#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/impl/api.h"
#include "server/impl/session.h"
#include "server/server.h"

namespace neptune::server {

// One function a call, in a file a service: they hold the session themselves, so that a call that outlives the Server
// does no harm.
boost::asio::awaitable<Answer<std::string>> submit(std::shared_ptr<Api> api, Body body);
boost::asio::awaitable<Answer<std::vector<RequestStatus>>> check(std::shared_ptr<Session> session, ProjectName project,
                                                                 std::vector<std::string> ids);
boost::asio::awaitable<Answer<WorkspaceStatus>> workspace_status(std::shared_ptr<Session> session,
                                                                 std::string workspace);
boost::asio::awaitable<std::vector<Step>> diagnose(std::shared_ptr<Session> session, const Clock& clock,
                                                   std::chrono::milliseconds limit);
boost::asio::awaitable<Answer<bool>> has_ingest(std::shared_ptr<Api> api);

class Server::Impl {
 public:
  Impl(std::shared_ptr<Api> given, std::shared_ptr<Transport> to_stores, std::chrono::milliseconds of_diagnosis)
      : api(std::move(given)), stores(std::move(to_stores)), diagnosis_timeout(of_diagnosis) {}
  std::shared_ptr<Api> api;
  std::shared_ptr<Transport> stores;  ///< to object stores: connections of their own, and no token
  std::chrono::milliseconds diagnosis_timeout;
};

}  // namespace neptune::server

#include "server/impl/json.h"
#include "server/impl/server_impl.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;

namespace {

std::optional<WorkspaceStatus> read_status(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return std::nullopt;
  const auto mode = string_member(*object, "mode");
  if (mode != "normal" && mode != "read_only") return std::nullopt;
  WorkspaceStatus status;
  status.read_only = mode == "read_only";
  status.storage_limit = integer_member(*object, "storageBytesLimit");
  status.storage_available = integer_member(*object, "storageBytesAvailable");
  status.active_projects = integer_member(*object, "activeProjectsUsage");
  status.monitoring_seconds_available = integer_member(*object, "monitoringSecondsAvailable");
  if (const auto* subscription = object_member(*object, "subscription"))
    status.subscription = excerpt(string_member(*subscription, "status"), 100);
  return status;
}

}  // namespace

asio::awaitable<Answer<WorkspaceStatus>> workspace_status(std::shared_ptr<Session> session, std::string workspace) {
  Call call{.method = "GET",
            .target = "/api/backend/v1/payments/" + percent_encode(workspace) + "/status",
            .headers = {{"Accept", "application/json"}},
            .body = {},
            .intent = Intent::read};
  auto response = co_await Session::call(std::move(session), std::move(call));
  if (!response) {
    // Not implemented is one more way not to offer the call.
    if (response.error().code == "http_501") response.error().kind = Failure::Kind::rejected;
    co_return std::unexpected(std::move(response.error()));
  }
  auto status = read_status(response->body);
  if (!status) co_return std::unexpected(invalid_answer("a workspace's status"));
  co_return std::move(*status);
}

}  // namespace neptune::server

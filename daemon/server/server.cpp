#include "server/server.h"

#include <utility>

#include "server/impl/api_token.h"
#include "server/impl/proxy.h"
#include "server/impl/server_impl.h"
#include "server/impl/tls.h"
#include "server/impl/transport.h"

namespace neptune::server {

namespace asio = boost::asio;

Result<std::unique_ptr<Server>> Server::make(asio::any_io_executor executor, const Clock& clock, Options options) {
  auto token = ApiToken::parse(options.api_token);
  if (!token) return std::unexpected(token.error());
  auto tls = Tls::make(options.ca_file, options.insecure);
  if (!tls) return std::unexpected(tls.error());
  if (token->base.tls) (*tls)->warm_up();
  auto proxies = ProxyRules::make(options.proxy, ProxyRules::process_environment());
  if (!proxies) return std::unexpected(proxies.error());
  Transport::Settings settings{.tls = std::move(*tls),
                               .proxies = std::move(*proxies),
                               .user_agent = options.user_agent,
                               .timeout = options.request_timeout,
                               .max_connections = options.max_connections};
  auto transport = std::make_shared<Transport>(executor, std::move(settings));
  auto session = std::make_shared<Session>(executor, clock, std::move(transport), std::move(*token), options.insecure);
  return std::unique_ptr<Server>(new Server(std::make_unique<Impl>(std::move(session))));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  close();
}

const std::string& Server::url() const {
  return impl_->session->url();
}

asio::awaitable<Answer<std::string>> Server::submit(Body body) {
  return server::submit(impl_->session, std::move(body));
}

asio::awaitable<Answer<std::vector<RequestStatus>>> Server::check(ProjectName project, std::vector<std::string> ids) {
  return server::check(impl_->session, std::move(project), std::move(ids));
}

asio::awaitable<Answer<WorkspaceStatus>> Server::workspace_status(std::string workspace) {
  return server::workspace_status(impl_->session, std::move(workspace));
}

Result<void> Server::set_token(std::string api_token) {
  auto token = ApiToken::parse(api_token);
  if (!token) return std::unexpected(token.error());
  impl_->session->set_token(std::move(*token));
  return {};
}

void Server::close() {
  impl_->session->transport()->close_idle();
}

}  // namespace neptune::server

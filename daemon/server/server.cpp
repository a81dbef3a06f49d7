#include "server/server.h"

#include <type_traits>
#include <utility>

#include "server/impl/api_token.h"
#include "server/impl/attributes.h"
#include "server/impl/containers.h"
#include "server/impl/listings.h"
#include "server/impl/management.h"
#include "server/impl/proxy.h"
#include "server/impl/server_impl.h"
#include "server/impl/tls.h"
#include "server/impl/transport.h"
#include "server/impl/uploads.h"

namespace neptune::server {

namespace asio = boost::asio;

Result<std::string> server_named_by(std::string_view api_token) {
  const auto token = ApiToken::parse(api_token);
  if (!token) return std::unexpected(token.error());
  return token->base.display();
}

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
  auto stores = std::make_shared<Transport>(executor, settings);
  auto transport = std::make_shared<Transport>(executor, std::move(settings));
  auto session = std::make_shared<Session>(executor, clock, std::move(transport), std::move(*token), options.insecure);
  auto api = std::make_shared<Api>(std::move(session), clock);
  return std::unique_ptr<Server>(
      new Server(std::make_unique<Impl>(std::move(api), std::move(stores), options.diagnosis_timeout)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  close();
}

const std::string& Server::url() const {
  return impl_->api->session->url();
}

asio::awaitable<Answer<std::string>> Server::submit(Body body) {
  return server::submit(impl_->api, std::move(body));
}

asio::awaitable<Answer<std::vector<RequestStatus>>> Server::check(ProjectName project, std::vector<std::string> ids) {
  return server::check(impl_->api->session, std::move(project), std::move(ids));
}

asio::awaitable<Answer<WorkspaceStatus>> Server::workspace_status(std::string workspace) {
  return server::workspace_status(impl_->api->session, std::move(workspace));
}

asio::awaitable<Answer<ManageReply>> Server::manage(Management change, MayBegin may_begin, Missing missing) {
  auto api = impl_->api->asking(std::move(may_begin));
  const auto make = [&api, missing](auto& each) {
    if constexpr (std::is_same_v<decltype(each), RunsChange&>)
      return server::perform(std::move(api), std::move(each), missing);
    else
      return server::perform(std::move(api), std::move(each));
  };
  return std::visit(make, change);
}

asio::awaitable<Answer<std::vector<OperationError>>> Server::execute(Addressed container,
                                                                     std::vector<AttributeOperation> operations,
                                                                     MayBegin may_begin) {
  return server::execute(impl_->api->asking(std::move(may_begin)), std::move(container), std::move(operations));
}

asio::awaitable<Answer<std::optional<double>>> Server::last_step(Addressed container, std::string path, bool text) {
  return server::last_step(impl_->api, std::move(container), std::move(path), text);
}

asio::awaitable<Answer<std::vector<StoredPoint>>> Server::points(Addressed container, std::string path, bool text,
                                                                 StepRange range) {
  return server::points(impl_->api, std::move(container), std::move(path), text, range);
}

asio::awaitable<Answer<bool>> Server::has_attribute(Addressed container, std::string path) {
  return server::has_attribute(impl_->api, std::move(container), std::move(path));
}

asio::awaitable<Answer<ContainerName>> Server::container(ContainerKind kind, std::string id) {
  return server::container_with_id(impl_->api, kind, std::move(id));
}

asio::awaitable<Answer<bool>> Server::has_run(ContainerName run) {
  return server::has_run(impl_->api, std::move(run));
}

asio::awaitable<Answer<std::string>> Server::id_of(ContainerName container) {
  return server::id_of(impl_->api, std::move(container));
}

asio::awaitable<Answer<std::int64_t>> Server::point_count(Addressed container, std::string path, SeriesKind kind) {
  return server::point_count(impl_->api, std::move(container), std::move(path), kind);
}

asio::awaitable<Answer<std::optional<std::string>>> Server::attribute(Addressed container, std::string path,
                                                                      ClientCopy::Type type) {
  return server::attribute(impl_->api, std::move(container), std::move(path), type);
}

asio::awaitable<Answer<std::int64_t>> Server::last_version(ContainerName model) {
  return server::last_version(impl_->api, std::move(model));
}

asio::awaitable<Answer<std::optional<std::string>>> Server::string_value(Addressed container, std::string path) {
  return server::string_value(impl_->api, std::move(container), std::move(path));
}

asio::awaitable<Answer<bool>> Server::has_ingest() {
  return server::has_ingest(impl_->api);
}

asio::awaitable<Answer<ManageReply>> Server::create_run(ContainerName run, std::string experiment, MayBegin may_begin) {
  return server::create_run(impl_->api->asking(std::move(may_begin)), std::move(run), std::move(experiment));
}

asio::awaitable<Answer<WorkspaceType>> Server::workspace_type(std::string workspace) {
  return server::workspace_type(impl_->api, std::move(workspace));
}

asio::awaitable<Answer<std::vector<ProjectFacts>>> Server::projects(std::string workspace) {
  return server::list_projects(impl_->api, std::move(workspace));
}

asio::awaitable<Answer<std::vector<MemberFacts>>> Server::members(ProjectName project) {
  return server::list_everybody(impl_->api, std::move(project));
}

asio::awaitable<Answer<std::vector<SignedFile>>> Server::sign_uploads(std::vector<FileToSign> files) {
  return server::sign_uploads(impl_->api, std::move(files));
}

asio::awaitable<UploadOutcome> Server::upload(Upload upload, UploadSettings settings) {
  return server::upload_file(impl_->api, impl_->stores, std::move(upload), std::move(settings));
}

asio::awaitable<UploadOutcome> Server::upload_attribute(AttributeUpload upload, UploadSettings settings) {
  return server::upload_attribute(impl_->api, std::move(upload), std::move(settings));
}

asio::awaitable<std::vector<Step>> Server::diagnose() {
  return server::diagnose(impl_->api->session, impl_->api->clock, impl_->diagnosis_timeout);
}

asio::awaitable<Answer<void>> Server::answers() {
  const auto& session = impl_->api->session;
  return Session::try_token(session, session->transport()->apart(impl_->diagnosis_timeout));
}

Result<void> Server::set_token(std::string api_token) {
  auto token = ApiToken::parse(api_token);
  if (!token) return std::unexpected(token.error());
  impl_->api->session->set_token(std::move(*token));
  // It may name another server, where nothing that was remembered holds.
  impl_->api = std::make_shared<Api>(impl_->api->session, impl_->api->clock);
  return {};
}

void Server::close() {
  impl_->api->session->transport()->close_idle();
  impl_->stores->close_idle();
}

}  // namespace neptune::server

#include "tests/sandbox/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <optional>

#include "support/task_group.h"
#include "tests/sandbox/http_server.h"
#include "tests/sandbox/world.h"

namespace neptune::sandbox {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

Result<void> write_secret(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const auto refuse = [&] {
    return fail("token_file_not_writable", "cannot write the token file " + path + ": " + std::strerror(errno));
  };
  if (fd < 0) return refuse();
  const bool written = ::fchmod(fd, 0600) == 0 && ::write(fd, text.data(), text.size()) == std::ssize(text);
  ::close(fd);
  if (!written) return refuse();
  return {};
}

Result<tcp::acceptor> listen(const asio::any_io_executor& executor, const Options& options) {
  error_code error;
  const auto found = tcp::resolver(executor).resolve(options.host, std::to_string(options.port), error);
  tcp::acceptor acceptor(executor);
  const auto check = [&] { return !error; };
  if (check()) {
    const tcp::endpoint endpoint = *found.begin();
    acceptor.open(endpoint.protocol(), error);
    // A port that the kernel picks is picked before that: else two programs could be given the same one.
    const tcp::acceptor::reuse_address reuse(true);
    if (check() && options.port != 0) acceptor.set_option(reuse, error);
    if (check()) acceptor.bind(endpoint, error);
    if (check()) acceptor.set_option(reuse, error);
    if (check()) acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error)
    return fail("cannot_listen",
                fmt::format("cannot listen on {} port {}: {}", options.host, options.port, error.message()));
  return acceptor;
}

Result<std::unique_ptr<asio::ssl::context>> make_tls(const Options& options) {
  if (options.tls_certificate.empty() && options.tls_key.empty()) return nullptr;
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code error;
  context->use_certificate_chain_file(options.tls_certificate, error);
  if (!error) context->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error) return fail("tls_files_not_usable", "the TLS certificate or key cannot be used: " + error.message());
  return context;
}

/// What a workspace flag says, as the control call that would say it.
std::string as_control(const WorkspaceOption& option) {
  boost::json::object out{{"workspace", option.name}, {"type", option.type}};
  out["quota"] = option.quota ? boost::json::value(*option.quota) : boost::json::value(nullptr);
  return boost::json::serialize(out);
}

std::string read_key(const std::string& state_file) {
  std::string key;
  const auto find = [&](Journal::Kind kind, std::string_view content) {
    if (kind == Journal::Kind::key) key = content;
  };
  if (!state_file.empty()) (void)Journal::open(state_file, find);
  return key;
}

Result<void> restore(World& world, const std::string& state_file) {
  Result<void> outcome;
  const auto replay = [&](Journal::Kind kind, std::string_view content) {
    if (!outcome) return;
    if (kind == Journal::Kind::call) outcome = replay_call(world, content);
    if (kind == Journal::Kind::file) outcome = replay_file(world, content);
    if (kind == Journal::Kind::control) outcome = replay_control(world, content);
    if (kind == Journal::Kind::accepted) world.queue.replay_accepted(content);
    if (kind == Journal::Kind::processed) world.queue.replay_processed(content);
  };
  auto journal = Journal::open(state_file, replay);
  if (!journal) return std::unexpected(journal.error());
  world.journal = std::move(*journal);
  end_faults(world);
  return outcome;
}

}  // namespace

class Sandbox::Impl {
 public:
  Impl(asio::any_io_executor executor, tcp::acceptor acceptor, std::unique_ptr<asio::ssl::context> tls, std::string url,
       std::string key)
      : executor_(executor),
        acceptor_(std::move(acceptor)),
        tls_(std::move(tls)),
        world_(executor, std::move(url), std::move(key)),
        tasks_(executor),
        stopped_(executor) {
    stopped_.expires_at(asio::steady_timer::time_point::max());
    add_auth_api(world_);
    add_ingest_api(world_);
    add_workspace_api(world_);
    add_project_api(world_);
    add_member_api(world_);
    add_service_account_api(world_);
    add_container_api(world_);
    add_attribute_api(world_);
    add_leaderboard_api(world_);
    add_download_api(world_);
    add_trash_api(world_);
    add_storage_api(world_);
    add_attribute_upload_api(world_);
    add_control_api(world_);
    add_state_api(world_);
    add_swagger_api(world_);
  }

  World& world() { return world_; }

  asio::awaitable<void> run() {
    tasks_.spawn("ingest", world_.queue.run());
    tasks_.spawn("accept", accept());
    error_code ignored;
    if (!stopping_) co_await stopped_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    acceptor_.close(ignored);
    co_await tasks_.stop();
  }

  void stop() {
    stopping_ = true;
    stopped_.cancel();
  }

 private:
  asio::awaitable<void> accept() {
    asio::steady_timer pause(executor_);
    while (true) {
      error_code error;
      auto socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error) {
        // Out of descriptors, most likely.
        pause.expires_after(std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::use_awaitable);
        continue;
      }
      tasks_.spawn("connection", serve(std::move(socket), tls_.get(), world_));
    }
  }

  asio::any_io_executor executor_;
  tcp::acceptor acceptor_;
  std::unique_ptr<asio::ssl::context> tls_;
  World world_;
  TaskGroup tasks_;
  asio::steady_timer stopped_;  // cancelled by stop()
  bool stopping_ = false;
};

Sandbox::Sandbox(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sandbox::~Sandbox() = default;

Result<std::unique_ptr<Sandbox>> Sandbox::make(asio::any_io_executor executor, Options options) {
  auto tls = make_tls(options);
  if (!tls) return std::unexpected(tls.error());
  auto acceptor = listen(executor, options);
  if (!acceptor) return std::unexpected(acceptor.error());
  const auto url = fmt::format("{}://{}:{}", *tls ? "https" : "http", options.host, acceptor->local_endpoint().port());
  auto key = read_key(options.state_file);
  const bool new_key = key.empty();
  if (new_key) key = Access::new_key();

  auto impl = std::make_unique<Impl>(executor, std::move(*acceptor), std::move(*tls), url, key);
  auto& world = impl->world();
  // Before the state is restored: auto-created workspaces depend on it.
  world.store.auto_create_workspaces = options.workspaces.empty();
  if (!options.state_file.empty())
    if (auto restored = restore(world, options.state_file); !restored) return std::unexpected(restored.error());
  if (new_key) world.journal.write(Journal::Kind::key, key);
  for (const auto& workspace : options.workspaces) {
    const auto settings = as_control(workspace);
    if (auto applied = replay_control(world, settings); !applied) return std::unexpected(applied.error());
    world.journal.write(Journal::Kind::control, settings);
  }
  if (!options.token_file.empty())
    if (auto written = write_secret(options.token_file, world.access.api_token()); !written)
      return std::unexpected(written.error());
  return std::unique_ptr<Sandbox>(new Sandbox(std::move(impl)));
}

const std::string& Sandbox::url() const {
  return impl_->world().access.url();
}
std::string Sandbox::api_token() const {
  return impl_->world().access.api_token();
}
asio::awaitable<void> Sandbox::run() {
  return impl_->run();
}
void Sandbox::stop() {
  impl_->stop();
}

}  // namespace neptune::sandbox

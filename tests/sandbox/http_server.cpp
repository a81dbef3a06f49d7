#include "tests/sandbox/http_server.h"

#include <fmt/chrono.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/json.hpp>
#include <cctype>
#include <chrono>
#include <optional>
#include <sstream>

namespace neptune::sandbox {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr std::uint32_t head_bytes = 64u << 10;
constexpr std::size_t chunk_bytes = 64u << 10;
constexpr std::uint64_t unknown_route_bytes = 1u << 20;
constexpr auto idle_time = std::chrono::minutes(5);
constexpr auto progress_time = std::chrono::seconds(60);
// What a client still sends after its answer is read and thrown away within these, so that the answer reaches it.
constexpr auto linger_time = std::chrono::seconds(2);
constexpr std::size_t linger_bytes = 64u << 20;

auto to(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

Request request_of(const http::request_header<>& head) {
  Request request;
  request.method = std::string(head.method_string());
  const std::string_view target(head.target().data(), head.target().size());
  const auto question = target.find('?');
  request.path = percent_decode(target.substr(0, question));
  if (question != std::string_view::npos) request.query = parse_form(target.substr(question + 1));
  for (const auto& field : head) {
    std::string name(field.name_string());
    for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    request.headers[name] = std::string(field.value());
  }
  return request;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT": by it clients see how far their clock is off.
std::string http_date() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
}

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// The member of a body that is a JSON object, where it is a string.
std::string member_of_body(const Request& request, std::string_view name) {
  boost::json::error_code error;
  const auto body = boost::json::parse(request.body, error);
  if (error || !body.is_object()) return {};
  const auto* value = body.get_object().if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// The full name of the project of a call about a container; empty when the call is about none.
std::string project_of_call(Store& store, const Request& request) {
  for (const auto* name : {"experimentId", "holderIdentifier"})
    if (const auto* container = store.find_container(request.query_value(name))) return container->project->name.full();
  if (request.method != "POST" || request.path != "/api/leaderboard/v1/experiments") return {};
  const auto* project = store.find_project(member_of_body(request, "projectIdentifier"));
  return project == nullptr ? std::string() : project->name.full();
}

/// The workspace that the body of a management call names.
std::string workspace_of_body(const Request& request) {
  return request.path.starts_with("/api/backend/v1/") ? member_of_body(request, "organizationIdentifier") : "";
}

/// The workspace and the full project name a request is about; empty where it does not say.
std::pair<std::string, std::string> subject(World& world, const Request& request) {
  auto& store = world.store;
  auto project = request.query_value("projectIdentifier");
  if (project.empty()) project = project_of_call(store, request);
  if (project.empty() && request.path == "/api/client/v1/ingest") project = peek_project(request.body);
  if (const auto* stored = world.objects.project_of(request)) project = stored->full();
  if (!project.empty()) return {project.substr(0, project.find('/')), project};
  const auto workspace = request.vars.find("organizationIdentifier");
  return {workspace == request.vars.end() ? workspace_of_body(request) : workspace->second, {}};
}

template <class Stream>
class Session {
 public:
  Session(Stream stream, World& world)
      : stream_(std::move(stream)), world_(world), timer_(stream_.get_executor()), chunk_(chunk_bytes) {
    // Beast reads as much at once as this buffer has room for.
    buffer_.reserve(chunk_bytes);
  }

  asio::awaitable<void> run() {
    if constexpr (!std::is_same_v<Stream, beast::tcp_stream>) {
      error_code error;
      lowest().expires_after(progress_time);
      co_await stream_.async_handshake(asio::ssl::stream_base::server, to(error));
      if (error) co_return;
    }
    bool open = true;
    while (open) {
      open = co_await read_head();
      if (open) open = co_await read_body();
      if (open) open = co_await answer();
    }
    error_code ignored;
    lowest().socket().close(ignored);
  }

 private:
  using Parser = http::request_parser<http::buffer_body>;
  using Drop = FaultEffect::Drop;

  auto& lowest() { return beast::get_lowest_layer(stream_); }

  asio::awaitable<bool> read_head() {
    parser_.emplace();
    parser_->header_limit(head_bytes);
    parser_->body_limit(boost::none);
    lowest().expires_after(idle_time);
    error_code error;
    co_await http::async_read_header(stream_, buffer_, *parser_, to(error));
    if (error) co_return false;
    started_us_ = Traffic::now_us();
    request_ = request_of(parser_->get());
    route_ = world_.router.find(request_);
    effect_.reset();
    too_large_ = false;
    if (beast::iequals(request_.header("expect"), "100-continue")) {
      constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await asio::async_write(stream_, asio::buffer(go_on), to(error));
    }
    co_return !error;
  }

  /// False when the connection is over; the request then had no effect.
  asio::awaitable<bool> read_body() {
    const auto limit = route_ == nullptr ? unknown_route_bytes : route_->max_body;
    const auto length = parser_->content_length();
    too_large_ = length && *length > limit;
    if (route_ != nullptr && route_->spooled)
      request_.spooled = world_.objects.make_blob();
    else if (length && !too_large_)
      request_.body.reserve(*length);
    received_ = 0;
    while (!parser_->is_done() && !too_large_) {
      auto size = chunk_.size();
      const auto pace = effect_ ? effect_->read_bytes_per_second : 0;
      if (pace > 0) size = std::clamp<std::size_t>(pace / 20, 1, size);
      auto& into = parser_->get().body();
      into.data = chunk_.data();
      into.size = size;
      lowest().expires_after(progress_time);
      error_code error;
      co_await http::async_read(stream_, buffer_, *parser_, to(error));
      if (error && error != http::error::need_buffer) co_return false;
      take(std::string_view(chunk_.data(), size - into.size));
      too_large_ = received_ > limit;
      strike();
      if (effect_->drop == Drop::mid_body && received_ * 2 >= length.value_or(0)) co_return dropped();
      if (effect_->read_bytes_per_second > 0) co_await pause(std::chrono::milliseconds(50));
    }
    strike();
    const bool unheard = effect_->drop == Drop::mid_body || effect_->drop == Drop::before_processing;
    co_return !unheard || dropped();
  }

  void take(std::string_view bytes) {
    received_ += bytes.size();
    if (!request_.spooled) {
      request_.body.append(bytes);
      return;
    }
    request_.spooled->append(bytes);
    world_.objects.received_bytes += bytes.size();
  }

  void strike() {
    if (effect_) return;
    const auto [workspace, project] = subject(world_, request_);
    effect_ = world_.faults.strike(request_, workspace, project);
    if (effect_->read_bytes_per_second == 0) return;
    // A small window, so that the sender feels the pace; not below the segments of the loopback, which would stall.
    error_code ignored;
    lowest().socket().set_option(asio::socket_base::receive_buffer_size(256 << 10), ignored);
  }

  bool dropped() {
    count("dropped");
    return false;
  }

  void count(const std::string& outcome) {
    if (request_.path.starts_with("/sandbox/")) return;
    const auto endpoint = route_ == nullptr ? request_.method + " (unknown)" : route_->name();
    ++world_.requests[endpoint][outcome];
  }

  asio::awaitable<void> pause(std::chrono::milliseconds time) {
    lowest().expires_never();
    timer_.expires_after(time);
    co_await timer_.async_wait(asio::use_awaitable);
  }

  /// Kept, so that what is processed after it finds the same modes when it is replayed.
  void clean_up() {
    const auto now = wall_ms();
    if (world_.store.clean_up(now))
      world_.journal.write(Journal::Kind::control, "{\"clean_up_until\":" + std::to_string(now) + "}");
  }

  Response respond() {
    if (too_large_) return error_response(413, "", "the body is too large");
    if (route_ == nullptr) return error_response(404, "", "there is no " + request_.method + " " + request_.path);
    if (route_->needs_token)
      if (auto refusal = world_.access.refuse(request_)) return *refusal;
    clean_up();
    try {
      return route_->handle(request_);
    } catch (const std::exception& error) {
      return error_response(500, "", error.what());
    }
  }

  /// It takes effect, whatever became of its connection by then.
  void respond_later() {
    if (route_ == nullptr) return;
    auto timer = std::make_shared<asio::steady_timer>(timer_.get_executor(), effect_->late);
    auto process = [timer, route = route_, request = request_](error_code error) {
      if (!error) route->handle(request);
    };
    timer->async_wait(std::move(process));
  }

  Response respond_with_fault() {
    Response response;
    if (effect_->late.count() > 0) {
      respond_later();
    } else if (!effect_->status || effect_->after_processing) {
      response = respond();
    }
    if (effect_->garbage) response = {200, "\xFF\xFEnot what you expect\x80", "application/x-protobuf", {}};
    if (effect_->status) {
      const auto& message = effect_->message;
      response = error_response(*effect_->status, effect_->error_type, message.empty() ? "a fault was set" : message);
      if (effect_->retry_after) response.headers.emplace_back("Retry-After", std::to_string(*effect_->retry_after));
    }
    return response;
  }

  /// True when the connection stays open.
  asio::awaitable<bool> answer() {
    auto response = respond_with_fault();
    auto noted = world_.traffic.take_noted();
    if (effect_->delay.count() > 0) co_await pause(effect_->delay);
    if (effect_->drop == Drop::before_answer) co_return dropped();
    const bool keep = parser_->is_done() && parser_->keep_alive();
    http::response<http::string_body> message{http::int_to_status(response.status), 11};
    message.result(response.status);
    message.set(http::field::server, "neptune-sandbox");
    message.set(http::field::date, http_date());
    if (!response.content_type.empty()) message.set(http::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) message.set(name, value);
    message.body() = std::move(response.body);
    message.keep_alive(keep);
    message.prepare_payload();

    error_code error;
    lowest().expires_after(progress_time);
    if (effect_->drop == Drop::mid_answer) {
      std::ostringstream whole;
      whole << message;
      const auto half = whole.str().substr(0, whole.str().size() / 2);
      co_await asio::async_write(stream_, asio::buffer(half), to(error));
      co_return dropped();
    }
    co_await http::async_write(stream_, message, to(error));
    world_.traffic.answered(std::move(noted), started_us_, error ? -1 : Traffic::now_us());
    if (error) co_return dropped();
    count(std::to_string(response.status));
    if (!keep) co_await linger();
    co_return keep;
  }

  asio::awaitable<void> linger() {
    error_code error;
    lowest().socket().shutdown(asio::ip::tcp::socket::shutdown_send, error);
    lowest().expires_after(linger_time);
    for (std::size_t seen = 0; !error && seen < linger_bytes;)
      seen += co_await lowest().async_read_some(asio::buffer(chunk_), to(error));
  }

  Stream stream_;
  World& world_;
  asio::steady_timer timer_;
  std::vector<char> chunk_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  Request request_;
  const Route* route_ = nullptr;
  std::optional<FaultEffect> effect_;  // of the current request, once it was looked for
  bool too_large_ = false;
  std::uint64_t received_ = 0;   // of the body
  std::int64_t started_us_ = 0;  // of the current request
};

}  // namespace

asio::awaitable<void> serve(asio::ip::tcp::socket socket, asio::ssl::context* tls, World& world) {
  error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  beast::tcp_stream plain(std::move(socket));
  if (tls == nullptr) {
    Session<beast::tcp_stream> session(std::move(plain), world);
    co_await session.run();
  } else {
    Session<beast::ssl_stream<beast::tcp_stream>> session(beast::ssl_stream<beast::tcp_stream>(std::move(plain), *tls),
                                                          world);
    co_await session.run();
  }
}

}  // namespace neptune::sandbox

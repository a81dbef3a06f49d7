#include "server/impl/tls.h"

#include <fmt/format.h>
#include <openssl/x509v3.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "server/impl/cancel.h"
#include "server/impl/text.h"
#include "server/impl/watchdog.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using asio::ip::tcp;

namespace {

class TlsStream final : public Stream {
 public:
  TlsStream(tcp::socket socket, ssl::context& context) : stream_(std::move(socket), context) {}

  asio::awaitable<Moved> read_some(asio::mutable_buffer buffer) override {
    Moved moved;
    moved.bytes = co_await stream_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, moved.error));
    co_return moved;
  }

  asio::awaitable<Moved> write_some(asio::const_buffer buffer) override {
    Moved moved;
    moved.bytes = co_await stream_.async_write_some(buffer, asio::redirect_error(asio::use_awaitable, moved.error));
    co_return moved;
  }

  void close() override {
    boost::system::error_code ignored;
    stream_.next_layer().close(ignored);
  }

  // A session ticket that arrives late looks like the end: closing for nothing costs a handshake, no more.
  bool is_quiet() override { return server::is_quiet(stream_.next_layer()); }

  ssl::stream<tcp::socket>& native() { return stream_; }

 private:
  ssl::stream<tcp::socket> stream_;
};

bool is_address(const std::string& host) {
  boost::system::error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

struct Verdict {
  bool wrong_name = false;
  std::string names{};  ///< which the certificate has instead
};

/// The names of hosts that a certificate is for, as far as they are fit to print; "" where there are none.
std::string names_of(X509* certificate) {
  constexpr std::size_t shown = 200;
  std::string names;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    int type = 0;
    const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &type));
    if (type != GEN_DNS) continue;
    const std::string_view name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                static_cast<std::size_t>(ASN1_STRING_length(value)));
    if (is_header_value(name) && names.size() + name.size() < shown)
      names += (names.empty() ? "" : ", ") + std::string(name);
  }
  GENERAL_NAMES_free(all);
  return names;
}

Failure wrong_name(const std::string& host, const std::string& names) {
  return {Failure::Kind::unreachable, "tls_wrong_name",
          fmt::format("the certificate that {} shows is {}; check the server's address in the API token", host,
                      names.empty() ? "for another host name" : "for another host name: " + names),
          std::nullopt};
}

Failure verification_failure(const std::string& host, const std::string& reason) {
  return {Failure::Kind::unreachable, "tls_verification_failed",
          fmt::format("the certificate of {} cannot be trusted: {}; if your organisation has a certificate authority "
                      "of its own, name its certificate in ca_file",
                      host, reason),
          std::nullopt};
}

Failure handshake_failure(const std::string& peer, const boost::system::error_code& error) {
  return {Failure::Kind::unreachable, "tls_handshake_failed",
          fmt::format("the TLS handshake with {} failed ({}); check that the address and the port speak https", peer,
                      error.message()),
          std::nullopt};
}

class SslTls final : public Tls {
 public:
  explicit SslTls(bool insecure) : context_(ssl::context::tls_client), insecure_(insecure) {}

  Result<void> load(const std::string& ca_file) {
    SSL_CTX_set_min_proto_version(context_.native_handle(), TLS1_2_VERSION);
    if (ca_file.empty()) return {};
    boost::system::error_code error;
    context_.load_verify_file(ca_file, error);
    if (error)
      return fail("invalid_ca_file", fmt::format("the CA certificates in {} cannot be used ({}); ca_file must name a "
                                                 "readable file of PEM certificates",
                                                 ca_file, error.message()));
    return {};
  }

  void warm_up() override {
    if (warm_ || insecure_) return;
    warm_ = true;
    // A box without system certificates can do with ca_file alone.
    boost::system::error_code ignored;
    context_.set_default_verify_paths(ignored);
  }

  asio::awaitable<Answer<std::unique_ptr<Stream>>> handshake(tcp::socket socket, std::string host, std::uint16_t port,
                                                             std::chrono::milliseconds limit) override {
    warm_up();
    const auto executor = socket.get_executor();
    auto stream = std::make_unique<TlsStream>(std::move(socket), context_);
    auto& native = stream->native();
    Verdict verdict;
    prepare(native, host, verdict);
    boost::system::error_code error;
    bool timed_out = false;
    {
      Watchdog dog(executor, limit, [&stream] { stream->close(); });
      co_await native.async_handshake(ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
      timed_out = dog.has_bitten();
    }
    co_await throw_if_cancelled();
    if (!error) {
      // The verdict lives in this frame; there is nothing left to verify.
      native.set_verify_callback([](bool ok, ssl::verify_context&) { return ok; });
      co_return std::move(stream);
    }
    const auto peer = fmt::format("{} port {}", host, port);
    if (timed_out) {
      co_return std::unexpected(Failure{
          Failure::Kind::unreachable, "tls_timed_out",
          fmt::format("the TLS handshake with {} did not end within {} s", peer, seconds(limit)), std::nullopt});
    }
    if (verdict.wrong_name) co_return std::unexpected(wrong_name(host, verdict.names));
    const auto result = SSL_get_verify_result(native.native_handle());
    if (!insecure_ && result != X509_V_OK)
      co_return std::unexpected(verification_failure(host, X509_verify_cert_error_string(result)));
    co_return std::unexpected(handshake_failure(peer, error));
  }

 private:
  void prepare(ssl::stream<tcp::socket>& native, const std::string& host, Verdict& verdict) {
    if (!is_address(host)) SSL_set_tlsext_host_name(native.native_handle(), host.c_str());
    if (insecure_) {
      native.set_verify_mode(ssl::verify_none);
      return;
    }
    native.set_verify_mode(ssl::verify_peer);
    native.set_verify_callback(
        [&verdict, check = ssl::host_name_verification(host)](bool trusted, ssl::verify_context& context) {
          const bool good = check(trusted, context);
          if (trusted && !good) {
            verdict.wrong_name = true;
            verdict.names = names_of(X509_STORE_CTX_get_current_cert(context.native_handle()));
          }
          return good;
        });
  }

  ssl::context context_;
  bool insecure_;
  bool warm_ = false;
};

}  // namespace

Result<std::shared_ptr<Tls>> Tls::make(const std::string& ca_file, bool insecure) {
  auto tls = std::make_shared<SslTls>(insecure);
  if (auto loaded = tls->load(ca_file); !loaded) return std::unexpected(loaded.error());
  return tls;
}

}  // namespace neptune::server

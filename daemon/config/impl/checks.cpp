#include "config/impl/checks.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <memory>

#include "changes/names.h"

namespace neptune::config::impl {
namespace {

constexpr std::size_t kSocketBytes = sizeof(sockaddr_un::sun_path) - 1;  // what bind() can take

/// As whoever speaks TLS will load them.
bool holds_certificates(const std::filesystem::path& path) {
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  const bool loaded = store && X509_STORE_load_file(store.get(), path.c_str()) == 1;
  ERR_clear_error();
  return loaded;
}

}  // namespace

Advice check_socket(const std::filesystem::path& path) {
  if (path.native().size() <= kSocketBytes) return std::nullopt;
  return fmt::format("is {} bytes long and a socket's path can have {}; write a shorter one", path.native().size(),
                     kSocketBytes);
}

Advice check_proxy(const std::string& value) {
  if (value.empty()) return std::nullopt;
  const auto url = boost::urls::parse_uri(value);
  if (url.has_value() && url->scheme() == "http" && !url->host().empty() && url->has_port() &&
      url->port_number() != 0 && (url->path().empty() || url->path() == "/") && !url->has_query() &&
      !url->has_fragment())
    return std::nullopt;
  return "is not a proxy's address; write for instance \"http://proxy.example.org:3128\", or \"\" for the one in "
         "HTTPS_PROXY";
}

Advice check_workspace_name(const std::string& value) {
  const auto scope = Scope::parse(value);
  if (scope && scope->is_workspace()) return std::nullopt;
  return fmt::format("is \"{}\"; write a workspace's name alone, for instance \"ml-team\"", value);
}

Advice check_project(const std::string& value) {
  if (value.empty() || ProjectName::parse(value)) return std::nullopt;
  return fmt::format("is \"{}\"; write workspace/project, for instance \"ml-team/classification\"", value);
}

Advice check_user(const std::string& value) {
  if (!value.empty() && value.find_first_of(" \t\r\n:/,") == std::string::npos) return std::nullopt;
  return fmt::format("holds \"{}\", which is no user's name; write login names of this machine", value);
}

/// What is not this user's to read may be the daemon's: it tells when it is not.
Advice check_ca_file(const std::filesystem::path& path) {
  const auto is_wrong = [&path](std::string_view how) {
    return fmt::format("names {}, which {}; write the path of a file with CA certificates in PEM form", path.native(),
                       how);
  };
  std::error_code error;
  const auto kind = std::filesystem::status(path, error).type();
  if (kind == std::filesystem::file_type::not_found) return is_wrong("does not exist");
  if (error) return std::nullopt;
  if (kind == std::filesystem::file_type::directory) return is_wrong("is a directory");
  if (kind != std::filesystem::file_type::regular) return is_wrong("is not a regular file");
  if (::access(path.c_str(), R_OK) != 0) return std::nullopt;
  return holds_certificates(path) ? std::nullopt
                                  : Advice(is_wrong("holds no certificates in PEM form, or broken ones"));
}

constexpr std::string_view kTokenFile = "/etc/neptune-syncd/api-token";

}  // namespace neptune::config::impl

#include "config/impl/checks.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "changes/names.h"

namespace neptune::config::impl {
namespace {

constexpr std::size_t kSocketBytes = sizeof(sockaddr_un::sun_path) - 1;  // what bind() can take

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

Advice check_ca_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) || error) return std::nullopt;
  return fmt::format("names {}, which does not exist; write the path of a file with CA certificates in PEM form",
                     path.native());
}

constexpr std::string_view kTokenFile = "/etc/neptune-syncd/api-token";

}  // namespace neptune::config::impl

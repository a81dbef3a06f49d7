#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "support/error.h"

namespace neptune::server {

/// An http or https URL, taken apart.
struct Url {
  bool tls = false;
  std::string host;  ///< a name or an address; an IPv6 address without its brackets
  std::uint16_t port = 0;
  std::string target;  ///< path and query as they are sent; empty or begins with '/'
  std::string user;    ///< decoded credentials before the '@'; never shown
  std::string password;

  /// Refuses anything that is not an absolute http or https URL with a host. The message does not repeat `text`, which
  /// may hold credentials.
  static Result<Url> parse(std::string_view text);

  /// "host:443", IPv6 in brackets.
  std::string authority() const;
  /// Value of the Host header: the port only where it is not the scheme's own.
  std::string host_header() const;
  /// What connections are shared by: "https://host:443".
  std::string origin() const;
  /// The URL for people, without credentials.
  std::string display() const;
  /// This URL with `suffix` appended to the target.
  Url with(std::string_view suffix) const;
};

}  // namespace neptune::server

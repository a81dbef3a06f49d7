#pragma once

#include <filesystem>
#include <string>

#include "tests/unit/server/scripted_peer.h"

namespace neptune::server::test {

/// A certificate authority that exists for one test.
class Authority {
 public:
  Authority();
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  /// A file with the authority's own certificate, removed with it.
  const std::filesystem::path& file() const { return file_; }

  /// `names` as OpenSSL writes subject alternative names: "DNS:localhost,IP:127.0.0.1".
  Identity issue(const std::string& names, bool expired = false) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::filesystem::path file_;
};

}  // namespace neptune::server::test

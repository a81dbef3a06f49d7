#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace neptune::sandbox {

/// `--workspace NAME[:individual|team][:quota BYTES]`
struct WorkspaceOption {
  std::string name;
  std::string type = "team";  ///< "individual" or "team"
  std::optional<std::uint64_t> quota;

  static Result<WorkspaceOption> parse(std::string_view text);
};

struct Options {
  std::string host = "127.0.0.1";  ///< an address or a name; stands in the URL as it is
  std::uint16_t port = 0;          ///< 0: the kernel picks
  std::string state_file;          ///< empty: nothing is kept
  std::string token_file;          ///< empty: the token is only printed
  std::string tls_certificate, tls_key;
  std::vector<WorkspaceOption> workspaces;  ///< empty: any workspace comes into being when first used
};

}  // namespace neptune::sandbox

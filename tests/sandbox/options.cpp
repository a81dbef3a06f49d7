#include "tests/sandbox/options.h"

#include <charconv>

namespace neptune::sandbox {

Result<WorkspaceOption> WorkspaceOption::parse(std::string_view text) {
  WorkspaceOption option;
  auto end = text.find(':');
  option.name = text.substr(0, end);
  if (option.name.empty() || option.name.find('/') != std::string::npos)
    return fail("invalid_workspace", "'" + std::string(text) + "' names no workspace; write NAME[:team][:quota BYTES]");
  while (end != std::string_view::npos) {
    text = text.substr(end + 1);
    end = text.find(':');
    auto part = text.substr(0, end);
    if (part == "team" || part == "individual") {
      option.type = part;
      continue;
    }
    if (part.starts_with("quota") && part.size() > 6) {
      part.remove_prefix(6);  // "quota " or "quota="
      std::uint64_t bytes = 0;
      const auto [at, error] = std::from_chars(part.data(), part.data() + part.size(), bytes);
      if (error == std::errc{} && at == part.data() + part.size()) {
        option.quota = bytes;
        continue;
      }
    }
    return fail("invalid_workspace", "'" + std::string(text.substr(0, end)) +
                                         "' is not part of a workspace; after the "
                                         "name come 'team' or 'individual', and 'quota BYTES'");
  }
  return option;
}

}  // namespace neptune::sandbox

#include <cstdio>

#include "client/cli/verbs.h"
#include "client/lib/json.h"

namespace neptune::cli {

void Session::print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Session::fail_with(const Error& error) {
  const std::string text = json ? api::to_json(api::ErrorReply{error.code, error.message, std::nullopt})
                                : "neptune-sync: " + clean(error.message);
  std::fprintf(stderr, "%s\n", text.c_str());
  exit = client::is_unreachable(error) ? unreachable : failed;
}

}  // namespace neptune::cli

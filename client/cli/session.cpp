#include <cstdio>

#include "client/cli/verbs.h"
#include "client/lib/json.h"

namespace neptune::cli {

void Session::print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Session::fail_with(const Error& error) {
  const auto field = answered_.field.empty() ? std::nullopt : std::optional(answered_.field);
  const std::string text =
      json ? api::to_json(api::ErrorReply{error.code, error.message, field}) + "\n" : message(capital(error.message));
  std::fputs(text.c_str(), stderr);
  exit = client::is_unreachable(error) ? unreachable : exit_of_refusal(error.code);
}

Exit Session::exit_of_refusal(const std::string& code) const {
  // What is wrong with a file that is named may be mended there: the words were right.
  return answered_.status == 400 && !code.starts_with("file_") ? usage : failed;
}

}  // namespace neptune::cli

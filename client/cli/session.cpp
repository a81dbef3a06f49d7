#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "client/cli/verbs.h"
#include "client/lib/json.h"

namespace neptune::cli {

namespace {

/// By number, where it is somebody else's: this program looks up no names.
std::string whose(const std::string& socket) {
  struct stat info{};
  if (socket.starts_with("/run/neptune-syncd/")) return "the system's daemon";
  if (::stat(socket.c_str(), &info) != 0) return "a daemon";
  return info.st_uid == ::getuid() ? "your own daemon" : "the daemon of user " + std::to_string(info.st_uid);
}

}  // namespace

std::string Session::which_daemon() const {
  const auto other = socket.empty() ? client::passed_over() : std::string();
  if (other.empty()) return {};
  const auto asked = client::default_socket();
  const auto this_one = whose(asked), that_one = whose(other);
  return "This is " + this_one + ", at " + asked + ". " + (this_one == that_one ? "Another one" : capital(that_one)) +
         " answers, too: `export NEPTUNE_SYNC_SOCKET=" + other + "` chooses it.";
}

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

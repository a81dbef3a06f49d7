#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "config/config.h"
#include "config/impl/defaults.h"
#include "support/descriptor.h"
#include "support/service.h"

namespace neptune::config {
namespace {

// A token is a few hundred bytes of base64; whatever is larger is some other file.
constexpr std::size_t kTokenBytes = 16 * 1024;
constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";

std::string system_message(int reason) {
  return std::generic_category().message(reason);
}

/// The text without the white space around it. The message of an error holds nothing of the text.
Result<Token> make_token(std::string_view text, const std::string& origin) {
  const auto begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string_view::npos)
    return fail("token_empty", fmt::format("{} is empty; put the API token of your Neptune account there", origin));
  text = text.substr(begin, text.find_last_not_of(kWhiteSpace) - begin + 1);
  const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain)
    return fail("token_malformed",
                fmt::format("{} holds something besides one API token; leave nothing there but the token", origin));
  return Token{std::string(text), origin};
}

/// systemd's credentials are readable through an access list, which shows as a group bit; their directory is closed to
/// everybody else.
bool is_credential(const std::filesystem::path& path) {
  const std::filesystem::path directory = impl::environment("CREDENTIALS_DIRECTORY");
  if (!directory.is_absolute()) return false;
  std::error_code error;
  const auto parent = std::filesystem::canonical(path.parent_path(), error);
  if (error) return false;
  return parent == std::filesystem::canonical(directory, error) && !error;
}

Result<void> check_file(const std::filesystem::path& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode))
    return fail("token_file_unreadable",
                fmt::format("{} is not a regular file; name a file that holds the API token", path.native()));
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0 && !is_credential(path))
    return fail("token_file_readable_by_others",
                fmt::format("{} holds an API token but is open to other users (mode {:04o}); run: chmod 600 {}",
                            path.native(), info.st_mode & 07777u, path.native()));
  if (static_cast<std::uint64_t>(info.st_size) > kTokenBytes)
    return fail("token_file_too_large", fmt::format("{} is {} bytes long, and no API token is longer than {}; is it "
                                                    "the right file?",
                                                    path.native(), info.st_size, kTokenBytes));
  return {};
}

Result<Token> read_token_file(const std::filesystem::path& path) {
  // O_NONBLOCK: a named pipe must not hold up the start.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    const int reason = errno;
    return fail("token_file_unreadable",
                fmt::format("the API token file {} cannot be read: {}; it must exist and belong to the user that runs "
                            "the daemon",
                            path.native(), system_message(reason)));
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0)
    return fail("token_file_unreadable", fmt::format("the API token file {} cannot be read: {}; check its disk",
                                                     path.native(), system_message(errno)));
  if (auto ok = check_file(path, info); !ok) return std::unexpected(ok.error());

  std::array<char, kTokenBytes> buffer{};
  std::size_t size = 0;
  while (size < buffer.size()) {
    const auto n = ::read(file.get(), buffer.data() + size, buffer.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return fail("token_file_unreadable", fmt::format("the API token file {} cannot be read: {}; check its disk",
                                                       path.native(), system_message(errno)));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  return make_token({buffer.data(), size}, path.native());
}

bool is_in_the_environment() {
  return impl::environment("NEPTUNE_API_TOKEN").find_first_not_of(kWhiteSpace) != std::string::npos;
}

std::string named_file(const Config& config, const std::string& workspace) {
  if (!workspace.empty())
    for (const auto& entry : config.workspaces)
      if (entry.name == workspace && !entry.api_token_file.empty()) return entry.api_token_file;
  return config.server.api_token_file;
}

}  // namespace

std::filesystem::path token_file(const Config& config, const std::string& workspace) {
  if (const auto file = named_file(config, workspace); !file.empty()) return file;
  const std::filesystem::path directory = impl::environment("CREDENTIALS_DIRECTORY");
  if (is_in_the_environment() || !directory.is_absolute()) return {};
  const auto credential = directory / "api-token";
  std::error_code error;
  return std::filesystem::exists(credential, error) ? credential : std::filesystem::path();
}

Result<Token> read_token(const Config& config, const std::string& workspace) {
  if (const auto file = token_file(config, workspace); !file.empty()) return read_token_file(file);
  if (is_in_the_environment()) return make_token(impl::environment("NEPTUNE_API_TOKEN"), "NEPTUNE_API_TOKEN");
  return fail("token_missing",
              "no API token is given; write server.api_token_file into the configuration, set NEPTUNE_API_TOKEN, or "
              "pass the systemd credential \"api-token\"");
}

std::string token_remedy(const Config& config, const std::string& workspace) {
  const auto credential = fmt::format(
      "Put a valid API token into the file that the unit's LoadCredential= names, then {}: systemd reads it "
      "at a start only.",
      restart_command());
  if (const auto file = named_file(config, workspace); !file.empty())
    return is_credential(file) ? credential
                               : fmt::format("Put a valid API token into {}, then {}.", file, reload_command());
  if (is_in_the_environment())
    return "Set NEPTUNE_API_TOKEN to a valid API token where the daemon is started, and start it anew.";
  if (!impl::environment("CREDENTIALS_DIRECTORY").empty()) return credential;
  return fmt::format("Put an API token into a file, name it in [server] api_token_file, then {}.", reload_command());
}

}  // namespace neptune::config

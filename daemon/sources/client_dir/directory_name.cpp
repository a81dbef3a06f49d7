#include "sources/client_dir/directory_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "changes/limits.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view separator = "__";
constexpr std::size_t longest_id = 64;  // ids are UUIDs

struct KindWord {
  std::string_view word;
  ContainerKind kind;
};
constexpr std::array kinds{KindWord{"run", ContainerKind::run}, KindWord{"model", ContainerKind::model},
                           KindWord{"model_version", ContainerKind::model_version},
                           KindWord{"project", ContainerKind::project}};

std::vector<std::string_view> split(std::string_view name) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = name.find(separator);
    parts.push_back(name.substr(0, at));
    if (at == std::string_view::npos) return parts;
    name.remove_prefix(at + separator.size());
  }
}

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::optional<std::int32_t> pid_of(std::string_view text) {
  std::int32_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || end != text.data() + text.size() || pid <= 0) return std::nullopt;
  return pid;
}

std::optional<ClientDirName> parse_name(std::string_view name, bool offline) {
  const auto parts = split(name);
  if (parts.size() != 4) return std::nullopt;
  const auto kind = std::ranges::find(kinds, parts[0], &KindWord::word);
  const auto pid = pid_of(parts[2]);
  const auto most = offline ? limits::custom_id_characters : longest_id;
  if (kind == kinds.end() || !pid || !is_word(parts[1]) || parts[1].size() > most || !is_word(parts[3]))
    return std::nullopt;
  if (offline && kind->kind != ContainerKind::run) return std::nullopt;
  return ClientDirName{offline, kind->kind, std::string(parts[1]), *pid, std::string(parts[3])};
}

}  // namespace

std::string directory_name_of(const ClientDirName& said) {
  const auto kind = std::ranges::find(kinds, said.container, &KindWord::kind);
  return fmt::format("{1}{0}{2}{0}{3}{0}{4}", separator, kind->word, said.id, said.pid, said.key);
}

bool is_client_dir(const fs::path& directory) {
  const auto folder = directory.parent_path();
  const auto place = folder.filename();
  if (place != "offline" && place != "async") return false;
  return folder.parent_path().filename() == ".neptune" ||
         parse_name(directory.filename().native(), place == "offline").has_value();
}

Result<ClientDirName> parse_client_dir(const fs::path& directory) {
  const bool offline = directory.parent_path().filename() == "offline";
  if (auto name = parse_name(directory.filename().native(), offline)) return std::move(*name);
  // Clients before 1.0 named them <id>/exec-<n>, or <type>__<id>/exec-<n>.
  std::error_code ignored;
  for (fs::directory_iterator entry(directory, ignored), end; entry != end; entry.increment(ignored))
    if (entry->path().filename().native().starts_with("exec-"))
      return fail("client_dir_version",
                  fmt::format("{} was written by a client of an older format; sync it with that client's own command",
                              directory.string()));
  return fail("client_dir_name",
              fmt::format("{} has no name that the 1.x client gives (<type>__<id>__<pid>__<key>); move it away",
                          directory.string()));
}

std::string server_id_in(const fs::path& directory) {
  if (directory.parent_path().filename() == "offline") return {};
  const auto name = parse_name(directory.filename().native(), false);
  return name ? name->id : std::string();
}

std::optional<fs::path> registered_path(const fs::path& offline_directory, const ClientDirName& name,
                                        std::string_view server_id) {
  if (!is_word(server_id) || server_id.size() > longest_id) return std::nullopt;
  return offline_directory.parent_path().parent_path() / "async" /
         directory_name_of(
             {.container = ContainerKind::run, .id = std::string(server_id), .pid = name.pid, .key = name.key});
}

}  // namespace neptune::sources

#include "config/impl/keys.h"

#include <algorithm>
#include <array>

#include "support/spelling.h"

namespace neptune::config::impl {
namespace {

using namespace std::string_view_literals;

constexpr std::array kKeys{
    "state_dir"sv,
    "socket"sv,
    "log_level"sv,
    "server"sv,
    "server.api_token_file"sv,
    "server.ca_file"sv,
    "server.insecure"sv,
    "server.proxy"sv,
    "server.runs"sv,
    "server.max_in_flight"sv,
    "server.request_timeout"sv,
    "workspace"sv,
    "workspace.name"sv,
    "workspace.api_token_file"sv,
    "workspace.allow_users"sv,
    "workspace.priority"sv,
    "watch"sv,
    "watch.path"sv,
    "watch.kind"sv,
    "watch.project"sv,
    "watch.cleanup_after"sv,
    "watch.takeover_after"sv,
    "read_only"sv,
    "read_only.probe_interval"sv,
    "read_only.probe_interval_max"sv,
    "read_only.release_ramp"sv,
    "queue"sv,
    "queue.max_bytes"sv,
    "queue.min_free_disk"sv,
    "uploads"sv,
    "uploads.max_concurrent"sv,
    "uploads.max_bandwidth"sv,
    "uploads.chunk_size"sv,
    "uploads.max_tries"sv,
};

std::string_view last_part(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

}  // namespace

std::span<const std::string_view> known_keys() {
  return kKeys;
}

bool is_known(std::string_view full_name) {
  return std::ranges::find(kKeys, full_name) != kKeys.end();
}

std::string_view closest(std::string_view full_name) {
  // Spelling is only worth comparing for names of a sensible length, and the comparison is quadratic.
  if (full_name.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, last_part(full_name).size() / 3) + 1;
  for (const auto key : kKeys) {
    // A beginning that fits ("api_token" for "api_token_file") is nearer than its length says.
    const bool begins = last_part(full_name).size() >= 4 && key.starts_with(full_name);
    const auto d = last_part(key) == last_part(full_name) || begins ? 1 : edits_between(full_name, key);
    if (d < best_distance) {
      best = key;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace neptune::config::impl

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/error.h"

/// config.toml and the credentials, as one validated value. Every error names file, line and key, and says what to
/// write.
namespace neptune::config {

/// Where an API token comes from, in the order they are tried: a file named in the configuration, the environment
/// (NEPTUNE_API_TOKEN), the systemd credential "api-token".
struct Token {
  std::string text;    ///< never logged
  std::string origin;  ///< for people: "/etc/neptune-syncd/api-token", "NEPTUNE_API_TOKEN", ...
};

struct ServerConfig {
  std::string api_token_file;
  std::string ca_file;
  bool insecure = false;
  std::string proxy;
  std::string runs = "auto";  ///< auto | ingestion | leaderboard
  std::uint32_t max_in_flight = 4;
  std::chrono::milliseconds request_timeout{60000};
};

struct WorkspaceConfig {
  std::string name;
  std::string api_token_file;  ///< empty: the server's
  std::vector<std::string> allow_users;
  std::uint32_t priority = 1;  ///< turns it gets for each turn of a workspace with 1
};

struct WatchConfig {
  std::filesystem::path path;
  std::string kind = "auto";  ///< run-logs | client-1x | auto
  std::string project;
  std::optional<std::chrono::milliseconds> cleanup_after = std::chrono::hours(24);  ///< none: "never"
  std::chrono::milliseconds takeover_after = std::chrono::minutes(10);
};

struct ReadOnlyConfig {
  std::chrono::milliseconds probe_interval{30000};
  std::chrono::milliseconds probe_interval_max{900000};
  std::chrono::milliseconds release_ramp{30000};
};

struct QueueConfig {
  std::uint64_t max_bytes = 20ull << 30;
  std::uint64_t min_free_disk = 1ull << 30;
};

struct UploadsConfig {
  std::uint32_t max_concurrent = 4;
  std::uint64_t max_bandwidth = 0;  ///< bytes a second; 0: no limit
  std::uint64_t chunk_size = 16u << 20;
  std::uint32_t max_tries = 30;
};

struct Config {
  std::filesystem::path file;  ///< where it was read from; empty: built-in defaults
  std::filesystem::path state_dir;
  std::filesystem::path socket;
  std::string log_level = "info";
  ServerConfig server;
  std::vector<WorkspaceConfig> workspaces;
  std::vector<WatchConfig> watches;
  ReadOnlyConfig read_only;
  QueueConfig queue;
  UploadsConfig uploads;
  std::vector<std::string> warnings;  ///< keys that were not understood, and the like: sentences
};

/// `/etc/neptune-syncd/config.toml` for root, else `$XDG_CONFIG_HOME/neptune-syncd/config.toml`.
std::filesystem::path default_path();

/// Sentences; empty where there is nothing to say.
struct AboutDefaultPath {
  std::string absent;      ///< it is not there
  std::string overlooked;  ///< another one is there, and is not looked at: root's, or not root's
};
AboutDefaultPath about_default_path();

/// Reads and checks the file. An absent default file is an empty one; an absent named file is an error.
Result<Config> load(std::optional<std::filesystem::path> file);

/// The token of the server, or of one workspace. Refuses a file that others can read.
Result<Token> read_token(const Config& config, const std::string& workspace = {});
/// The file that it is read from; empty: it is NEPTUNE_API_TOKEN, or there is none.
std::filesystem::path token_file(const Config& config, const std::string& workspace = {});
/// How a new token gets there: sentences.
std::string token_remedy(const Config& config, const std::string& workspace = {});

/// "30s", "15m", "24h", "250ms", "7d"; and "20GiB", "1 MB", "4096".
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
Result<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace neptune::config

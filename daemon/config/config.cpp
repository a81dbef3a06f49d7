#include "config/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <toml++/toml.h>
#include <algorithm>
#include <fstream>
#include <functional>
#include <initializer_list>

#include "config/impl/checks.h"
#include "config/impl/defaults.h"
#include "config/impl/keys.h"

namespace neptune::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr std::size_t kFileBytes = 1u << 20;  // nobody writes this much by hand

using impl::Advice;

/// Turns a document into values, and keeps the first problem: after it nothing more is read.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  const std::optional<Error>& problem() const { return problem_; }

  std::string at(const toml::source_region& where) const { return fmt::format("{}:{}", file_, where.begin.line); }

  void refuse(const toml::source_region& where, std::string_view key, std::string_view what) {
    if (!problem_) problem_ = Error{"config_invalid", fmt::format("{}: {} {}", at(where), key, what)};
  }

 private:
  std::string file_;
  std::optional<Error> problem_;
};

/// One table of the document. Each call reads one key into `out`, which keeps its value when the key is absent.
class Section {
 public:
  Section(Reader& reader, const toml::table& table, std::string name)
      : reader_(reader), table_(table), name_(std::move(name)) {}

  bool has(std::string_view key) const { return table_.contains(key); }

  void text(std::string_view key, std::string& out, const std::function<Advice(const std::string&)>& check = {}) {
    const auto* node = find(key);
    if (!node) return;
    const auto* value = node->as_string();
    if (!value) return refuse(*node, key, "must be text in quotes");
    if (check)
      if (const auto advice = check(value->get())) return refuse(*node, key, *advice);
    out = value->get();
  }

  void choice(std::string_view key, std::string& out, std::initializer_list<std::string_view> words) {
    text(key, out, [&words](const std::string& value) -> Advice {
      if (std::ranges::find(words, value) != words.end()) return std::nullopt;
      return fmt::format("is \"{}\"; write one of \"{}\"", value, fmt::join(words, "\", \""));
    });
  }

  /// An absolute path, or one below the home directory ("~/..."). Relative ones are refused: what they are relative to
  /// would depend on who started the daemon. The value is not shown: a token may stand there by mistake.
  void path(std::string_view key, std::filesystem::path& out, std::string_view example,
            const std::function<Advice(const std::filesystem::path&)>& check = {}) {
    std::string written;
    text(key, written, [&](const std::string& value) -> Advice {
      if (value.starts_with("/") || value.starts_with("~/")) return std::nullopt;
      return fmt::format("is not an absolute path; write for instance \"{}\" (\"~/\" is the home directory)", example);
    });
    if (written.empty()) return;
    std::filesystem::path full = written;
    if (written.front() == '~') {
      if (impl::home().empty())
        return refuse(*find(key), key, "begins with \"~/\", but $HOME is not set; write it out");
      full = impl::home() / written.substr(2);
    }
    full = full.lexically_normal();
    if (!full.has_filename() && full.has_relative_path()) full = full.parent_path();
    if (check)
      if (const auto advice = check(full)) return refuse(*find(key), key, *advice);
    out = full;
  }

  /// As `path`; empty text means none.
  void optional_path(std::string_view key, std::string& out, std::string_view example,
                     const std::function<Advice(const std::filesystem::path&)>& check = {}) {
    if (const auto* node = table_.get(key); node && node->value<std::string>() == "") return out.clear();
    std::filesystem::path full = out;
    path(key, full, example, check);
    out = full.native();
  }

  void flag(std::string_view key, bool& out) {
    const auto* node = find(key);
    if (!node) return;
    const auto* value = node->as_boolean();
    if (!value) return refuse(*node, key, "must be true or false, without quotes");
    out = value->get();
  }

  void count(std::string_view key, std::uint32_t& out, std::uint32_t least, std::uint32_t most) {
    const auto* node = find(key);
    if (!node) return;
    const auto* value = node->as_integer();
    if (!value || value->get() < least || value->get() > most)
      return refuse(*node, key, fmt::format("must be a whole number from {} to {}, without quotes", least, most));
    out = static_cast<std::uint32_t>(value->get());
  }

  void duration(std::string_view key, milliseconds& out, milliseconds least, milliseconds most) {
    const auto* node = find(key);
    if (!node) return;
    const auto* value = node->as_string();
    if (!value) return refuse(*node, key, "must be text with a unit, for instance \"30s\"");
    const auto parsed = parse_duration(value->get());
    if (!parsed) return refuse(*node, key, "is wrong: " + parsed.error().message);
    if (*parsed < least || *parsed > most)
      return refuse(
          *node, key,
          fmt::format("is \"{}\"; write a duration from \"{}\" to \"{}\"", value->get(), shown(least), shown(most)));
    out = *parsed;
  }

  void bytes(std::string_view key, std::uint64_t& out, std::uint64_t least) {
    const auto* node = find(key);
    if (!node) return;
    const auto* number = node->as_integer();
    const auto* value = node->as_string();
    if (!value && !number) return refuse(*node, key, "must be a size, for instance \"20GiB\"");
    const auto parsed = parse_bytes(value ? value->get() : std::to_string(number->get()));
    if (!parsed) return refuse(*node, key, "is wrong: " + parsed.error().message);
    if (*parsed < least) return refuse(*node, key, fmt::format("is {} bytes; write at least {}", *parsed, least));
    out = *parsed;
  }

  void list(std::string_view key, std::vector<std::string>& out,
            const std::function<Advice(const std::string&)>& check) {
    const auto* node = find(key);
    if (!node) return;
    const auto* values = node->as_array();
    if (!values) return refuse(*node, key, "must be a list, for instance [\"jackie\"]");
    std::vector<std::string> read;
    for (const auto& value : *values) {
      const auto* text = value.as_string();
      if (!text) return refuse(value, key, "must hold names in quotes, for instance [\"jackie\"]");
      if (const auto advice = check(text->get())) return refuse(value, key, *advice);
      read.push_back(text->get());
    }
    out = std::move(read);
  }

  /// Refuses the value of a key; of an absent key, the table.
  void refuse(std::string_view key, std::string_view what) {
    const auto* node = table_.get(key);
    reader_.refuse(node ? node->source() : table_.source(), full(key), what);
  }

 private:
  static std::string shown(milliseconds value) {
    if (value % 24h == 0ms) return fmt::format("{}d", value / 24h);
    if (value % 1h == 0ms) return fmt::format("{}h", value / 1h);
    if (value % 1s == 0ms) return fmt::format("{}s", value / 1s);
    return fmt::format("{}ms", value.count());
  }

  std::string full(std::string_view key) const {
    return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
  }

  const toml::node* find(std::string_view key) const { return reader_.problem() ? nullptr : table_.get(key); }

  void refuse(const toml::node& node, std::string_view key, std::string_view what) {
    reader_.refuse(node.source(), full(key), what);
  }

  Reader& reader_;
  const toml::table& table_;
  std::string name_;
};

/// The tables of `[[name]]`, or the one of `[name]`.
void each_table(Reader& reader, const toml::table& root, std::string_view name, bool repeated,
                const std::function<void(Section&)>& read) {
  const auto* node = root.get(name);
  if (!node) return;
  const auto wrong = [&] {
    reader.refuse(node->source(), name,
                  repeated ? fmt::format("is a table for each; write [[{}]] above it, in two brackets", name)
                           : fmt::format("is one table; write [{}] above it, in one pair of brackets", name));
  };
  if (const auto* table = node->as_table(); table && !repeated) {
    Section section(reader, *table, std::string(name));
    return read(section);
  }
  const auto* array = node->as_array();
  if (!array || !repeated) return wrong();
  for (const auto& element : *array) {
    if (!element.is_table()) return wrong();
    Section section(reader, *element.as_table(), std::string(name));
    read(section);
  }
}

void read_places(Reader& reader, const toml::table& root, Config& config) {
  const bool is_root = ::geteuid() == 0;
  Section section(reader, root, "");
  config.state_dir = impl::default_state_dir(is_root);
  section.path("state_dir", config.state_dir, "/var/lib/neptune-syncd");
  if (config.state_dir.empty())
    return section.refuse("state_dir", "has no default, as neither $XDG_STATE_HOME nor $HOME is set; write a path");
  config.socket = impl::default_socket(is_root, config.state_dir);
  section.path("socket", config.socket, "/run/neptune-syncd/api.sock", impl::check_socket);
  if (const auto advice = impl::check_socket(config.socket)) section.refuse("socket", *advice);
  section.choice("log_level", config.log_level, {"trace", "debug", "info", "warn", "warning", "error"});
}

void read_server(Section& section, ServerConfig& server) {
  section.optional_path("api_token_file", server.api_token_file, "/etc/neptune-syncd/api-token");
  section.optional_path("ca_file", server.ca_file, "/etc/ssl/certs/our-ca.pem", impl::check_ca_file);
  section.flag("insecure", server.insecure);
  section.text("proxy", server.proxy, impl::check_proxy);
  section.choice("runs", server.runs, {"auto", "ingestion", "leaderboard"});
  section.count("max_in_flight", server.max_in_flight, 1, 64);
  section.duration("request_timeout", server.request_timeout, 1s, 1h);
}

void read_workspace(Section& section, std::vector<WorkspaceConfig>& workspaces) {
  WorkspaceConfig workspace;
  if (!section.has("name")) return section.refuse("name", "is missing; write for instance name = \"ml-team\"");
  section.text("name", workspace.name, impl::check_workspace_name);
  if (std::ranges::find(workspaces, workspace.name, &WorkspaceConfig::name) != workspaces.end())
    return section.refuse("name", fmt::format("\"{}\" has a table already; put its keys into one", workspace.name));
  section.optional_path("api_token_file", workspace.api_token_file, "/etc/neptune-syncd/vision-token");
  section.list("allow_users", workspace.allow_users, impl::check_user);
  section.count("priority", workspace.priority, 1, 100);
  workspaces.push_back(std::move(workspace));
}

void read_cleanup(Section& section, std::optional<milliseconds>& cleanup_after) {
  std::string text;
  section.text("cleanup_after", text);
  if (text == "never")
    cleanup_after = std::nullopt;
  else
    section.duration("cleanup_after", *cleanup_after, 0ms, 36500 * 24h);
}

void read_watch(Section& section, const Config& config, std::vector<WatchConfig>& watches) {
  WatchConfig watch;
  if (!section.has("path"))
    return section.refuse("path", "is missing; write the directory to watch, for instance path = \"~/.neptune\"");
  section.path("path", watch.path, "/var/lib/neptune-syncd/runs");
  if (std::ranges::find(watches, watch.path, &WatchConfig::path) != watches.end())
    return section.refuse("path", fmt::format("{} is watched already; remove one of the two", watch.path.native()));
  if (watch.path == config.state_dir)
    return section.refuse("path", "is the state directory; watch the directory that jobs log into");
  section.choice("kind", watch.kind, {"run-logs", "client-1x", "auto"});
  section.text("project", watch.project, impl::check_project);
  read_cleanup(section, watch.cleanup_after);
  section.duration("takeover_after", watch.takeover_after, 0ms, 36500 * 24h);
  watches.push_back(std::move(watch));
}

void read_read_only(Section& section, ReadOnlyConfig& read_only) {
  section.duration("probe_interval", read_only.probe_interval, 1s, 24h);
  read_only.probe_interval_max = std::max(read_only.probe_interval_max, read_only.probe_interval);
  section.duration("probe_interval_max", read_only.probe_interval_max, 1s, 7 * 24h);
  if (read_only.probe_interval_max < read_only.probe_interval)
    section.refuse("probe_interval_max", "is less than probe_interval; write the same or more");
  section.duration("release_ramp", read_only.release_ramp, 0ms, 24h);
}

void read_queue(Section& section, QueueConfig& queue) {
  section.bytes("max_bytes", queue.max_bytes, 1u << 20);
  section.bytes("min_free_disk", queue.min_free_disk, 0);
}

void read_uploads(Section& section, UploadsConfig& uploads) {
  section.count("max_concurrent", uploads.max_concurrent, 1, 64);
  section.bytes("max_bandwidth", uploads.max_bandwidth, 0);
  section.bytes("chunk_size", uploads.chunk_size, 256u << 10);
  if (uploads.chunk_size > (1u << 30)) section.refuse("chunk_size", "is more than 1GiB; write less");
  section.count("max_tries", uploads.max_tries, 1, 10'000);
}

/// Walks the document, and says of each unknown key what it may have been meant to be.
void warn_of_unknown(const Reader& reader, const toml::table& table, const std::string& prefix,
                     std::vector<std::string>& warnings) {
  for (const auto& [key, node] : table) {
    const auto full = prefix.empty() ? std::string(key.str()) : fmt::format("{}.{}", prefix, key.str());
    if (!impl::is_known(full)) {
      const auto meant = impl::closest(full);
      warnings.push_back(fmt::format("{}: {} is not a known key and is ignored{}", reader.at(key.source()), full,
                                     meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
    } else if (const auto* below = node.as_table()) {
      warn_of_unknown(reader, *below, full, warnings);
    } else if (const auto* array = node.as_array()) {
      for (const auto& element : *array)
        if (const auto* one = element.as_table()) warn_of_unknown(reader, *one, full, warnings);
    }
  }
}

Result<std::string> read_file(const std::filesystem::path& path) {
  const auto unreadable = [&path](std::string_view why) {
    return fail("config_unreadable", fmt::format("{}: the configuration cannot be read: {}; name another file with "
                                                 "--config, or put it right",
                                                 path.native(), why));
  };
  std::error_code error;
  const auto kind = std::filesystem::status(path, error);
  if (error) return unreadable(error.message());
  if (!std::filesystem::is_regular_file(kind)) return unreadable("it is not a regular file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(std::generic_category().message(errno));
  std::string text(kFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return unreadable("the disk reports an error");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kFileBytes) return unreadable(fmt::format("it is larger than {} bytes", kFileBytes));
  return text;
}

Result<toml::table> parse(const std::string& text, const std::string& file) {
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& e) {
    return fail("config_syntax", fmt::format("{}:{}:{}: this is not TOML: {}; see config.example.toml for how it is "
                                             "written",
                                             file, e.source().begin.line, e.source().begin.column, e.description()));
  }
}

Result<Config> interpret(const toml::table& root, Config config) {
  Reader reader(config.file.empty() ? "the built-in configuration" : config.file.native());
  warn_of_unknown(reader, root, "", config.warnings);
  read_places(reader, root, config);
  each_table(reader, root, "server", false, [&](Section& s) { read_server(s, config.server); });
  each_table(reader, root, "workspace", true, [&](Section& s) { read_workspace(s, config.workspaces); });
  each_table(reader, root, "watch", true, [&](Section& s) { read_watch(s, config, config.watches); });
  each_table(reader, root, "read_only", false, [&](Section& s) { read_read_only(s, config.read_only); });
  each_table(reader, root, "queue", false, [&](Section& s) { read_queue(s, config.queue); });
  each_table(reader, root, "uploads", false, [&](Section& s) { read_uploads(s, config.uploads); });
  if (reader.problem()) return std::unexpected(*reader.problem());
  if (config.server.insecure)
    config.warnings.push_back(
        fmt::format("{}: server.insecure is true, so whoever stands between here and the server "
                    "can read the token; use ca_file instead",
                    config.file.native()));
  return config;
}

}  // namespace

std::filesystem::path default_path() {
  return impl::default_file(::geteuid() == 0);
}

AboutDefaultPath about_default_path() {
  const bool root = ::geteuid() == 0;
  const auto ours = default_path(), other = impl::default_file(!root);
  const auto is_there = [](const std::filesystem::path& file) {
    std::error_code error;
    return !file.empty() && std::filesystem::exists(file, error);
  };
  AboutDefaultPath about;
  if (!is_there(ours))
    about.absent =
        fmt::format("There is no {}; what is built in holds.", ours.empty() ? "home directory" : ours.native());
  // The system's file is there wherever the package is: a user who has one of their own means that.
  if (is_there(other) && (root || !is_there(ours)))
    about.overlooked = fmt::format(
        "{} is not looked at: {}. Name it with --config if it is meant.", other.native(),
        root ? "root's configuration is " + ours.native() : "it is the system's; yours would be " + ours.native());
  return about;
}

Result<Config> load(std::optional<std::filesystem::path> file) {
  Config config;
  const auto path = file ? std::filesystem::absolute(*file) : default_path();
  std::error_code error;
  if (!file && (path.empty() || std::filesystem::status(path, error).type() == std::filesystem::file_type::not_found))
    return interpret({}, std::move(config));
  const auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  config.file = path;
  const auto root = parse(*text, path.native());
  if (!root) return std::unexpected(root.error());
  return interpret(*root, std::move(config));
}

}  // namespace neptune::config

#include "app/logging.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string_view>

namespace neptune::app {

namespace {

/// The service manager names the journal's stream; whoever redirects standard error is not meant.
bool is_the_journal(int descriptor) {
  const auto* stream = std::getenv("JOURNAL_STREAM");
  struct stat info{};
  return stream && ::fstat(descriptor, &info) == 0 && stream == fmt::format("{}:{}", info.st_dev, info.st_ino);
}

/// "<3>" for an error.
class Priority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string_view priority = of(message.level);
    out.append(priority.data(), priority.data() + priority.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Priority>(); }

 private:
  static std::string_view of(spdlog::level::level_enum level) {
    if (level >= spdlog::level::critical) return SD_CRIT;
    if (level == spdlog::level::err) return SD_ERR;
    if (level == spdlog::level::warn) return SD_WARNING;
    return level == spdlog::level::info ? SD_INFO : SD_DEBUG;
  }
};

/// As the configuration's `log_level` calls them.
class Level final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const auto usual = spdlog::level::to_string_view(message.level);
    const std::string_view name =
        message.level == spdlog::level::warn ? "warn" : std::string_view(usual.data(), usual.size());
    out.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Level>(); }
};

}  // namespace

void set_up_logging(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("neptune-syncd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<Priority>('*').add_flag<Level>('l').set_pattern(
      is_the_journal(STDERR_FILENO) ? "%*level=%l %v" : "%Y-%m-%dT%H:%M:%S.%eZ level=%l %v");
  logger->set_formatter(std::move(formatter));
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace neptune::app

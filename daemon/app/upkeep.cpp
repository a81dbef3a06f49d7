#include "app/upkeep.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "app/state_owner.h"
#include "config/config.h"
#include "engine/ledger.h"
#include "sources/change_queue/queue_schema.h"
#include "sources/change_queue/queue_store.h"
#include "support/sizes.h"
#include "support/sqlite.h"
#include "support/sqlite_check.h"
#include "support/try.h"

namespace neptune::app {

namespace fs = std::filesystem;

namespace {

std::string summary_of(const fs::path& file, const std::vector<sqlite::Finding>& findings, bool& repairable) {
  if (findings.empty()) return fmt::format("{}: all is well.\n", file.string());
  std::string out = fmt::format("{}:\n", file.string());
  for (const auto& finding : findings) {
    out += fmt::format("  {}\n    {} {}\n", finding.what, finding.repairable ? "repair:" : "by hand:", finding.plan);
    repairable = repairable || finding.repairable;
  }
  return out;
}

/// The queue would give out numbers again: so it is until the daemon starts, which goes on behind them.
Result<std::optional<sqlite::Finding>> numbers_behind(const fs::path& queue, const fs::path& memory, bool repair) {
  std::error_code error;
  if (!fs::exists(queue, error) || !fs::exists(memory, error)) return std::nullopt;
  auto store = sources::QueueStore::open(queue);
  if (!store) return std::unexpected(store.error());
  auto ledger = engine::Ledger::open(memory);
  if (!ledger) return std::unexpected(ledger.error());
  const auto record = (*ledger)->numbers_of_queue((*store)->identity());
  if (!record) return std::unexpected(record.error());
  if (repair) {
    NEPTUNE_TRY((*store)->close_gap(*record, std::chrono::system_clock::now()));
    return std::nullopt;
  }
  const auto gap = (*store)->gap(*record);
  if (!gap) return std::unexpected(gap.error());
  if (!*gap) return std::nullopt;
  const auto first = (*gap)->first, last = (*gap)->last;
  const auto lost = (*gap)->lost;
  return sqlite::Finding{
      .what = fmt::format(
          "It gives out the {} again: an older copy of it was put back, it is another one, or its log "
          "(-wal) was damaged. {}",
          first == last ? fmt::format("number {}", first) : fmt::format("numbers {} to {}", first, last),
          lost ? fmt::format("{} that waited in it {} gone.", number_of(*lost, "change"), *lost == 1 ? "is" : "are")
               : "How many of the changes that waited in it are gone is not known."),
      .plan = "The next number is set behind them, as the daemon does when it starts, which then tells what is lost.",
      .repairable = true};
}

Result<std::vector<sqlite::Finding>> findings_of(const sqlite::Examined& database, bool repair) {
  NEPTUNE_TRY(sqlite::refuse_log_alone(database.file));
  // A link that leads nowhere is there.
  std::error_code error;
  if (!fs::exists(fs::symlink_status(database.file, error))) return std::vector<sqlite::Finding>{};
  auto found = sqlite::check(database);
  if (!found || !repair) return found;
  const auto repairable = [](const sqlite::Finding& finding) { return finding.repairable; };
  if (std::ranges::none_of(*found, repairable)) return found;
  return sqlite::repair(database);
}

}  // namespace

Result<std::string> check_queue(const Flags& flags, bool repair) {
  auto config = config::load(flags.config);
  if (!config) return std::unexpected(config.error());
  const auto directory = config->state_dir;
  std::error_code error;
  if (!fs::exists(directory, error)) return fmt::format("There is no {} yet.\n", directory.string());
  auto claimed = claim(directory);
  if (!claimed) return std::unexpected(claimed.error());
  const auto queue = directory / queue_file, memory = directory / memory_file;
  bool repairable = false, broken = false;
  std::vector<sqlite::Finding> of_queue;
  std::string text;
  for (const auto& database : {sources::examined_queue(queue), engine::examined_ledger(memory)}) {
    auto found = findings_of(database, repair);
    if (!found)
      return std::unexpected(
          Error{found.error().code, fmt::format("{}: {}", database.file.string(), found.error().message)});
    broken = broken || !found->empty();
    // Only of two that are sound can be said how they go together.
    if (database.file == memory && !broken) {
      auto behind = numbers_behind(queue, memory, repair);
      if (!behind) return std::unexpected(behind.error());
      if (*behind) text = summary_of(queue, {**behind}, repairable), broken = true;
    }
    text += summary_of(database.file, *found, repairable);
  }
  if (!broken) return text;
  if (repairable) text += "Run it with --repair to do that: a copy of each file is made beside it first.\n";
  return fail("broken", text);
}

}  // namespace neptune::app

#include "app/upkeep.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "app/portable_queue.h"
#include "config/config.h"
#include "engine/ledger.h"
#include "sources/change_queue/queue_schema.h"
#include "sources/change_queue/queue_store.h"
#include "support/clock.h"
#include "support/sizes.h"
#include "support/sqlite_check.h"
#include "support/state_dir.h"
#include "support/try.h"

namespace neptune::app {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t changes_a_transaction = 1000;

/// Root becomes the directory's owner.
Result<void> act_as_owner_of(const fs::path& directory) {
  struct stat data{};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &data) != 0 || data.st_uid == 0) return {};
  if (::setgroups(0, nullptr) == 0 && ::setresgid(data.st_gid, data.st_gid, data.st_gid) == 0 &&
      ::setresuid(data.st_uid, data.st_uid, data.st_uid) == 0)
    return {};
  return fail("not_permitted", fmt::format("this process cannot act as the owner of {} ({}); run it as that user",
                                           directory.string(), std::strerror(errno)));
}

/// The state directory of a daemon that does not run, for as long as this lives.
Result<StateDir> claim(const fs::path& directory) {
  NEPTUNE_TRY(act_as_owner_of(directory));
  auto claimed = StateDir::open(directory);
  if (!claimed && claimed.error().code == "state_dir_in_use")
    return fail("state_dir_in_use", fmt::format("a neptune-syncd runs on {}: stop it first (`systemctl stop "
                                                "neptune-syncd.socket neptune-syncd`; Ctrl-C or `kill` for one that "
                                                "was started by hand), and start it again after this",
                                                directory.string()));
  return claimed;
}

std::string summary_of(const fs::path& file, const std::vector<sqlite::Finding>& findings, bool& repairable) {
  if (findings.empty()) return fmt::format("{}: all is well.\n", file.string());
  std::string out = fmt::format("{}:\n", file.string());
  for (const auto& finding : findings) {
    out += fmt::format("  {}\n    {} {}\n", finding.what, finding.repairable ? "repair:" : "by hand:", finding.plan);
    repairable = repairable || finding.repairable;
  }
  return out;
}

/// The queue gives out numbers that are known as confirmed, when an older copy of it was put back: new changes would be
/// taken for sent.
Result<std::optional<sqlite::Finding>> numbers_behind(const fs::path& queue, const fs::path& memory, bool repair) {
  std::error_code error;
  if (!fs::exists(queue, error) || !fs::exists(memory, error)) return std::nullopt;
  auto store = sources::QueueStore::open(queue);
  if (!store) return std::unexpected(store.error());
  auto ledger = engine::Ledger::open(memory);
  if (!ledger) return std::unexpected(ledger.error());
  const auto record = (*ledger)->queue_record((*store)->identity());
  if (!record) return std::unexpected(record.error());
  const auto last = (*store)->last_number();
  if (!last) return std::unexpected(last.error());
  sources::Position confirmed = 0;
  for (const auto& [stream, one] : *record) confirmed = std::max(confirmed, one.confirmed);
  if (confirmed <= *last) return std::nullopt;
  if (repair) {
    NEPTUNE_TRY((*store)->go_on_after(confirmed));
    return std::nullopt;
  }
  return sqlite::Finding{
      .what = fmt::format("It gives out the {} again, on record as confirmed: an older copy of it was put back.",
                          confirmed == *last + 1 ? fmt::format("number {}", confirmed)
                                                 : fmt::format("numbers {} to {}", *last + 1, confirmed)),
      .plan = "The next number is set behind them.",
      .repairable = true};
}

Result<std::vector<sqlite::Finding>> findings_of(const sqlite::Examined& database, bool repair) {
  std::error_code error;
  if (!fs::exists(database.file, error)) return std::vector<sqlite::Finding>{};
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

namespace {

/// A file that is made and written, opened as who asks: what follows is done as the state directory's owner. One of
/// which nothing came goes again, or is left empty where that owner may not remove it.
struct Output {
  int fd = -1, directory = -1;
  std::string own{};  ///< the file that was made
  bool whole = false;
  ~Output() {
    if (own.empty()) return;
    if (!whole && ::ftruncate(fd, 0) == 0) ::unlink(own.c_str());
    ::close(fd);
    if (directory >= 0) ::close(directory);
  }
};

Result<void> open_output(const std::string& file, Output& output) {
  if (file == "-") {
    output.fd = STDOUT_FILENO;
    return {};
  }
  // What is in it is as private as the queue.
  output.fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (output.fd < 0)
    return fail("export_not_written",
                fmt::format("{} cannot be made: {}. An export overwrites nothing.", file, std::strerror(errno)));
  output.own = file;
  output.directory = ::open(fs::absolute(file).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return {};
}

/// Its name must be on disk too before anything is taken out of the queue.
Result<void> sync_name_of(const Output& output) {
  if (output.directory >= 0 && ::fsync(output.directory) == 0) return {};
  return fail("export_not_written", fmt::format("{} cannot be put on disk: {}. Nothing was taken out of the queue.",
                                                output.own, std::strerror(errno)));
}

struct Carried {
  std::map<std::string, sources::Position> upto;  ///< what was written of each stream (queue_path)
  std::uint64_t changes = 0, uploads = 0, doubtful = 0;
};

Result<Carried> write_changes(sources::QueueStore& store, engine::Ledger& ledger, PortableWriter& writer, bool move) {
  const auto record = ledger.queue_record(store.identity());
  if (!record) return std::unexpected(record.error());
  Carried carried;
  NEPTUNE_TRY(writer.begin(store.identity(), move, format_time(std::chrono::system_clock::now())));
  const auto one = [&record, &carried, &writer, move](const sources::QueueStore::Whole& whole) -> Result<void> {
    const auto& container = whole.change.container;
    const auto stream = sources::queue_path(container, whole.lane);
    const auto known = record->find(stream);
    if (known != record->end() && whole.change.position <= known->second.confirmed) return {};
    if (container.kind == ContainerKind::files) {
      carried.uploads++;
      return {};
    }
    if (move && known != record->end() && known->second.in_doubt) {
      carried.doubtful++;
      return {};
    }
    auto& upto = carried.upto[stream];
    upto = std::max(upto, whole.change.position);
    carried.changes++;
    return writer.add(whole);
  };
  NEPTUNE_TRY(store.each_change(one));
  NEPTUNE_TRY(writer.end());
  return carried;
}

Result<void> take_out(sources::QueueStore& store, const Carried& carried) {
  const auto streams = store.streams();
  if (!streams) return std::unexpected(streams.error());
  for (const auto& stream : *streams) {
    const auto written = carried.upto.find(sources::queue_path(stream.container, stream.lane));
    if (written == carried.upto.end()) continue;
    for (bool more = true; more;) {
      const auto settled = store.settle(stream.id, written->second);
      if (!settled) return std::unexpected(settled.error());
      more = settled->more;
    }
  }
  return {};
}

std::string sentence_of(const Carried& carried, const std::string& file, bool move) {
  auto out = fmt::format("{} {} written to {}, and {}.\n", number_of(carried.changes, "change"),
                         carried.changes == 1 ? "was" : "were", file == "-" ? "standard output" : file,
                         move                   ? "left this machine's queue"
                         : carried.changes == 1 ? "stays in this machine's queue as well"
                                                : "stay in this machine's queue as well");
  if (carried.uploads > 0)
    out += fmt::format("Not in it: {} to be uploaded, on this machine. Copy them, and hand them in there.\n",
                       number_of(carried.uploads, "file"));
  if (carried.doubtful > 0)
    out += fmt::format(
        "Not in it: {}, as what was sent before may be on the server. Start the daemon here to finish that.\n",
        number_of(carried.doubtful, "change"));
  return out;
}

/// What waits on this machine and is not in such a file, so that nobody takes it for everything.
Result<std::string> what_is_not_in_it(const config::Config& config, engine::Ledger& ledger) {
  std::string out;
  const auto rejected = ledger.rejected();
  if (!rejected) return std::unexpected(rejected.error());
  if (*rejected > 0)
    out += fmt::format(
        "{} here: `neptune-sync rejected` lists them; `rejected export` writes them out, and `rejected retry` sends "
        "them from here.\n",
        *rejected == 1 ? "1 rejected change stays" : fmt::format("{} rejected changes stay", *rejected));
  std::vector<std::string> folders;
  for (const auto& watch : config.watches) folders.push_back(watch.path.string());
  if (!folders.empty())
    out += fmt::format(
        "Run logs and 1.x directories are files already: copy what is closed in {} into a folder that is watched "
        "there.\n",
        fmt::join(folders, ", "));
  return out;
}

}  // namespace

Result<std::string> export_queue(const Flags& flags, const std::string& file, bool move) {
  auto config = config::load(flags.config);
  if (!config) return std::unexpected(config.error());
  const auto directory = config->state_dir;
  if (move && file == "-") return fail("usage", "--move needs a file: what is taken out must be on disk first");
  std::error_code error;
  if (!fs::exists(directory / queue_file, error))
    return fail("no_queue",
                fmt::format("there is no {}: nothing was ever handed in", (directory / queue_file).string()));
  Output output;
  NEPTUNE_TRY(open_output(file, output));
  std::optional<StateDir> claimed;
  if (move) {
    auto got = claim(directory);
    if (!got) return std::unexpected(got.error());
    claimed.emplace(std::move(*got));
  } else {
    NEPTUNE_TRY(act_as_owner_of(directory));
  }
  auto store = sources::QueueStore::open(directory / queue_file);
  if (!store) return std::unexpected(store.error());
  auto ledger = engine::Ledger::open(directory / memory_file);
  if (!ledger) return std::unexpected(ledger.error());
  PortableWriter writer(output.fd, file);
  const auto carried = write_changes(**store, **ledger, writer, move);
  if (!carried) return std::unexpected(carried.error());
  if (move) NEPTUNE_TRY(sync_name_of(output));
  output.whole = true;
  if (move) NEPTUNE_TRY(take_out(**store, *carried));
  const auto others = what_is_not_in_it(*config, **ledger);
  if (!others) return std::unexpected(others.error());
  return sentence_of(*carried, file, move) + *others;
}

Result<std::string> import_queue(const Flags& flags, const fs::path& file) {
  auto config = config::load(flags.config);
  if (!config) return std::unexpected(config.error());
  // Opened as who asks; what follows is done as the directory's owner.
  auto reader = PortableReader::open(file);
  if (!reader) return std::unexpected(reader.error());
  auto claimed = claim(config->state_dir);
  if (!claimed) return std::unexpected(claimed.error());
  auto store = sources::QueueStore::open(config->state_dir / queue_file);
  if (!store) return std::unexpected(store.error());
  const bool came_back = reader->is_of((*store)->identity());
  if (came_back && !reader->is_moved())
    return fail(
        "same_queue",
        fmt::format("{} was exported from this very queue, where its changes still are or were sent", file.string()));
  const auto before = (*store)->last_number();
  if (!before) return std::unexpected(before.error());
  const auto now = std::chrono::system_clock::now();
  std::vector<sources::Handed> batch;
  const auto hand_in = [&store, &batch, now, most = config->queue.max_bytes]() -> Result<void> {
    std::uint64_t added = 0;
    for (const auto& request : batch) {
      const auto bytes = (*store)->new_bytes(request);
      if (!bytes) return std::unexpected(bytes.error());
      added += *bytes;
    }
    if ((*store)->bytes() + added > most)
      return fail("queue_full",
                  "the queue is at its bound ([queue] max_bytes): raise it, and import the file again; what "
                  "was taken already is not taken twice");
    const auto accepted = (*store)->accept(batch, now);
    batch.clear();
    return accepted ? Result<void>{} : std::unexpected(accepted.error());
  };
  const auto one = [&store, &batch, &hand_in, came_back](sources::Position number,
                                                         sources::Handed handed) -> Result<void> {
    // Of a move that was cut off, some may be here still.
    if (came_back) {
      const auto place = (*store)->place(number);
      if (!place) return std::unexpected(place.error());
      if (place->queued) return {};
    }
    batch.push_back(std::move(handed));
    return batch.size() < changes_a_transaction ? Result<void>{} : hand_in();
  };
  NEPTUNE_TRY(reader->each(one));
  if (!batch.empty()) NEPTUNE_TRY(hand_in());
  const auto after = (*store)->last_number();
  if (!after) return std::unexpected(after.error());
  const auto taken = static_cast<std::uint64_t>(*after - *before);
  const auto known = reader->changes() - std::min(taken, reader->changes());
  return fmt::format("{} of {} {} queued; {} {} known already.\n", number_of(taken, "change"), file.string(),
                     taken == 1 ? "is" : "are", known, known == 1 ? "was" : "were");
}

}  // namespace neptune::app

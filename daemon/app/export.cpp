#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "app/carried_files.h"
#include "app/carry.h"
#include "app/output_file.h"
#include "app/portable_file.h"
#include "app/state_owner.h"
#include "app/unsent_dirs.h"
#include "app/unsent_logs.h"
#include "app/watch_folders.h"
#include "changes/file_upload.h"
#include "config/config.h"
#include "engine/ledger.h"
#include "server/source_file.h"
#include "sources/change_queue/queue_store.h"
#include "support/clock.h"
#include "support/sizes.h"
#include "support/try.h"

namespace neptune::app {

namespace fs = std::filesystem;

namespace {

/// From where to where a stream of the queue was written.
struct Written {
  sources::Position after = 0, upto = 0;
};
using ByStream = std::map<std::string, Written>;  // queue_path

/// Writes the changes of the queue, each upload behind its file.
class Changes {
 public:
  Changes(const fs::path& state_dir, std::map<std::string, engine::Ledger::QueueRecord> record, bool move,
          PortableWriter& writer, Tally& tally)
      : copies_(state_dir / copies_folder), record_(std::move(record)), move_(move), writer_(writer), tally_(tally) {}

  Result<void> write(const sources::QueueStore::Whole& whole) {
    const auto& container = whole.change.container;
    const auto stream = sources::queue_path(container, whole.lane);
    const auto known = record_.find(stream);
    const auto confirmed = known == record_.end() ? 0 : known->second.confirmed;
    if (whole.change.position <= confirmed) return {};
    if (move_ && known != record_.end() && known->second.in_doubt) {
      doubtful_++;
      return {};
    }
    // A stream is taken out up to a position: what comes after a file that stays, stays.
    if (stopped_.contains(stream)) {
      behind_++;
      return {};
    }
    if (container.kind == ContainerKind::files) {
      const auto written = write_upload(whole);
      if (!written) return std::unexpected(written.error());
      if (!*written) {
        stopped_.insert(stream);
        return {};
      }
    }
    auto& written = carried_[stream];
    written.after = confirmed;
    written.upto = std::max(written.upto, whole.change.position);
    tally_.changes++;
    return writer_.add(whole);
  }

  void tell_what_stays() {
    if (doubtful_ > 0)
      tally_.left.push_back(
          fmt::format("{}, as what was sent before may be on the server; start the daemon here to finish that",
                      number_of(doubtful_, "change")));
    if (behind_ > 0)
      tally_.left.push_back(fmt::format("{} handed in after such a one for the same run", number_of(behind_, "file")));
  }
  const ByStream& carried() const { return carried_; }

 private:
  /// False: the file cannot be had, and is named.
  Result<bool> write_upload(const sources::QueueStore::Whole& whole) {
    const auto upload = read_upload(whole.change.payload);
    if (!upload) return std::unexpected(upload.error());
    server::SourceFile source{upload->file, upload->beneath, whole.change.uid};
    if (!upload->copied_as.empty()) source = {upload->copied_as, copies_.string(), ::geteuid()};
    const auto opened = server::OpenFile::open(source);
    const auto stays = [this](std::string why) {
      tally_.left.push_back(std::move(why));
      return false;
    };
    if (!opened) return stays(opened.error().message);
    const auto& now = (*opened)->identity();
    const bool same =
        !upload->seen || !upload->copied_as.empty() ||
        (now.inode == upload->seen->inode && now.size == upload->seen->size && now.mtime_ns == upload->seen->mtime_ns);
    if (!same) return stays(fmt::format("the file {}, which is not what it was when it was handed in", upload->file));
    auto name = fs::path(upload->file).filename().string();
    if (!is_plain_name(name)) name = "file";
    NEPTUNE_TRY(write_file({.name = std::move(name)}, **opened, writer_));
    tally_.files++;
    return true;
  }

  fs::path copies_;
  std::map<std::string, engine::Ledger::QueueRecord> record_;
  bool move_;
  PortableWriter& writer_;
  Tally& tally_;
  ByStream carried_;
  std::set<std::string> stopped_;
  std::uint64_t doubtful_ = 0, behind_ = 0;
};

Result<ByStream> write_changes(sources::QueueStore& store, engine::Ledger& ledger, const fs::path& state_dir, bool move,
                               PortableWriter& writer, Tally& tally) {
  auto record = ledger.queue_record(store.identity());
  if (!record) return std::unexpected(record.error());
  Changes changes(state_dir, std::move(*record), move, writer, tally);
  NEPTUNE_TRY(store.each_change([&changes](const sources::QueueStore::Whole& whole) { return changes.write(whole); }));
  changes.tell_what_stays();
  return changes.carried();
}

Result<void> take_out(sources::QueueStore& store, engine::Ledger& ledger, const ByStream& carried,
                      const std::string& file, WallTime now) {
  if (carried.empty()) return {};
  const auto streams = store.streams();
  if (!streams) return std::unexpected(streams.error());
  const auto move = store.begin_move(file, now);
  if (!move) return std::unexpected(move.error());
  if (move->forgotten > 0) {
    NEPTUNE_TRY(ledger.forget(store.identity(), move->forgotten));
    NEPTUNE_TRY(store.forget_moved(move->forgotten));
  }
  for (const auto& stream : *streams) {
    const auto written = carried.find(sources::queue_path(stream.container, stream.lane));
    if (written == carried.end()) continue;
    // What is on the server, and was not taken out yet, is none of what leaves.
    for (bool more = true; more;) {
      const auto settled = store.settle(stream.id, written->second.after);
      if (!settled) return std::unexpected(settled.error());
      more = settled->more;
    }
    for (bool more = true; more;) {
      const auto left = store.move_out(stream.id, written->second.upto, *move);
      if (!left) return std::unexpected(left.error());
      more = left->more;
    }
  }
  return {};
}

std::string what_was_written(const Tally& tally) {
  std::vector<std::string> parts;
  if (tally.changes > 0) parts.push_back(number_of(tally.changes, "change"));
  std::string logs;
  if (tally.logs > 0) logs = number_of(tally.logs, "run log");
  if (tally.directories > 0)
    logs += fmt::format("{}{} 1.x {}", logs.empty() ? "" : " and ", tally.directories,
                        tally.directories == 1 ? "directory" : "directories");
  if (!logs.empty()) parts.push_back(fmt::format("{} of {}", number_of(tally.operations, "operation"), logs));
  if (tally.files > 0) parts.push_back(number_of(tally.files, "file"));
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : &part == &parts.back() ? ", and " : ", ") + part;
  return out;
}

std::string what_was_exported(const Tally& tally, const std::string& file, bool move) {
  const auto count = tally.changes + tally.operations + tally.files;
  const bool one = count == 1;
  const auto to = file == "-" ? std::string("standard output") : file;
  auto out = fmt::format(
      "{} {} written to {}, and {}.\n", what_was_written(tally), one ? "was" : "were", to,
      move ? "left this machine" : (one ? "stays on this machine as well" : "stay on this machine as well"));
  if (count == 0)
    out = fmt::format("There is nothing in {}: {}.\n", to,
                      tally.left.empty() ? "nothing waits here to be sent" : "nothing that waits here can travel now");
  for (const auto& left : tally.left) out += fmt::format("Not in it: {}.\n", left);
  return out;
}

/// What is kept on this machine and is not in such a file, so that nobody takes it for everything.
Result<std::string> what_is_kept(engine::Ledger& ledger) {
  const auto rejected = ledger.rejected();
  if (!rejected) return std::unexpected(rejected.error());
  if (*rejected == 0) return std::string();
  return fmt::format(
      "{} here: `neptune-sync rejected` lists them; `rejected export` writes them out, and `rejected retry` sends "
      "them from here.\n",
      *rejected == 1 ? "1 rejected change stays" : fmt::format("{} rejected changes stay", *rejected));
}

/// Nobody may think that nothing came of it.
Result<void> explained(Result<void> taken_out, const std::string& file) {
  if (taken_out) return taken_out;
  auto error = std::move(taken_out.error());
  error.message += fmt::format(
      ". {} is whole, but not all that is in it was taken out of here: mend that, and export again with another name "
      "before a daemon runs here. What is in both files is taken once.",
      file);
  return std::unexpected(std::move(error));
}

Result<std::optional<StateDir>> take_state_dir(const fs::path& directory, bool move) {
  if (!move) {
    NEPTUNE_TRY(act_as_owner_of(directory));
    return std::nullopt;
  }
  auto claimed = claim(directory);
  if (!claimed) return std::unexpected(std::move(claimed.error()));
  return std::move(*claimed);
}

}  // namespace

Result<Carried> export_unsent(const Flags& flags, const std::string& file, bool move) {
  auto config = config::load(flags.config);
  if (!config) return std::unexpected(config.error());
  const auto directory = config->state_dir;
  if (move && file == "-") return fail("usage", "--move needs a file: what is taken out must be on disk first");
  std::error_code error;
  if (!fs::exists(directory / queue_file, error))
    return fail("no_queue", fmt::format("there is no {}: neptune-syncd must have run here once, if without a server",
                                        (directory / queue_file).string()));
  // Opened as who asks; what follows is done as the directory's owner.
  auto output = OutputFile::open(file);
  if (!output) return std::unexpected(output.error());
  const auto claimed = take_state_dir(directory, move);
  if (!claimed) return std::unexpected(claimed.error());
  auto store = sources::QueueStore::open(directory / queue_file);
  if (!store) return std::unexpected(store.error());
  auto ledger = engine::Ledger::open(directory / memory_file);
  if (!ledger) return std::unexpected(ledger.error());

  const auto now = std::chrono::system_clock::now();
  Tally tally;
  PortableWriter writer(output->fd(), file);
  UnsentLogs logs(watch_folders(*config), **ledger, move);
  UnsentDirs dirs(watch_folders(*config), **ledger, move);
  NEPTUNE_TRY(writer.begin((*store)->identity(), move, format_time(now)));
  const auto changes = write_changes(**store, **ledger, directory, move, writer, tally);
  if (!changes) return std::unexpected(changes.error());
  NEPTUNE_TRY(logs.write(writer, tally));
  NEPTUNE_TRY(dirs.write(writer, tally));
  NEPTUNE_TRY(writer.end());
  NEPTUNE_TRY(output->give_name());
  if (move) {
    const auto name = fs::path(file).filename().string();
    NEPTUNE_TRY(explained(take_out(**store, **ledger, *changes, name, now), file));
    NEPTUNE_TRY(explained(logs.take_out(name, now), file));
    NEPTUNE_TRY(explained(dirs.take_out(name, now), file));
  }
  const auto kept = what_is_kept(**ledger);
  if (!kept) return std::unexpected(kept.error());
  return Carried{what_was_exported(tally, file, move) + *kept, tally.left.empty()};
}

}  // namespace neptune::app

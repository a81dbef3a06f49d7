#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "app/carried_logs.h"
#include "app/carried_uploads.h"
#include "app/carry.h"
#include "app/portable_file.h"
#include "app/state_owner.h"
#include "app/watch_folders.h"
#include "changes/client_operation.h"
#include "config/config.h"
#include "engine/ledger.h"
#include "sources/change_queue/queue_store.h"
#include "sources/client_dir/dir_making.h"
#include "sources/client_dir/directory_name.h"
#include "support/sizes.h"
#include "support/try.h"

namespace neptune::app {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t changes_a_transaction = 1000;

/// Before anything is taken: whether there is a place for each log, and none names files of this machine. The daemon
/// reads what the owner of a directory may read, and it will be the owner itself.
class Check final : public PortableTaker {
 public:
  explicit Check(const LogPlaces& places) : places_(places) {}

  Result<void> change(sources::Position, sources::Handed) override { return {}; }
  Result<void> log(CarriedLog log) override {
    if (const auto folder = places_.folder_for(log); !folder) return std::unexpected(folder.error());
    of_client_ = log.kind == sources::Kind::client_dir;
    if (!of_client_) return {};
    const auto name = sources::parse_client_dir(fs::path(log.offline ? "offline" : "async") / log.name);
    return name ? Result<void>{} : refuse(fmt::format("{} is no name of a directory", log.name));
  }
  Result<void> operation(CarriedOperation operation) override {
    if (!of_client_) return {};
    if (!sources::is_whole_object(operation.bytes)) return refuse("an operation of the 1.x client is no JSON object");
    const auto read = read_client_operation(operation.bytes, 0);
    if (!read || !read->upload) return {};
    const auto& upload = *read->upload;
    const bool of_machine = upload.what == ClientUpload::What::file_set || !upload.file_path.empty() ||
                            (upload.what == ClientUpload::What::file && !is_plain_name(upload.tmp_file_name));
    return of_machine ? refuse("an operation would upload files of this machine") : Result<void>{};
  }
  Result<void> file(CarriedFile) override { return {}; }
  Result<void> bytes(std::string_view) override { return {}; }

 private:
  static Result<void> refuse(const std::string& why) {
    return fail("export_refused", fmt::format("the file was not written by neptune-syncd: {}. Nothing was taken from "
                                              "it.",
                                              why));
  }

  const LogPlaces& places_;
  bool of_client_ = false;
};

/// Queues changes, and hands what is of logs to `logs`.
class Importer final : public PortableTaker {
 public:
  struct To {
    sources::QueueStore& store;
    CarriedLogs& logs;
    CarriedUploads& uploads;
  };
  Importer(To to, bool came_back, std::uint64_t most_bytes, WallTime now)
      : to_(to), came_back_(came_back), most_bytes_(most_bytes), now_(now) {}

  Result<void> change(sources::Position number, sources::Handed handed) override {
    offered_++;
    // Its own key is known here, from when it was queued before it left.
    if (came_back_) {
      handed.changes.front().idempotency_key = fmt::format("export:{}:{}", to_.store.identity(), number);
      handed.changes.front().content = 0;
    }
    const auto other = to_.store.other_content(handed);
    if (!other) return std::unexpected(other.error());
    if (*other) refuse(number, handed, **other);
    const auto known = *other ? Result<bool>(true) : is_known(number, handed);
    if (!known) return std::unexpected(known.error());
    NEPTUNE_TRY(to_.uploads.give_to(handed, *known));
    if (*known) return {};
    batch_.push_back(std::move(handed));
    numbers_.push_back(number);
    return batch_.size() < changes_a_transaction ? Result<void>{} : hand_in();
  }
  Result<void> log(CarriedLog log) override {
    in_logs_ = true;
    NEPTUNE_TRY(hand_in());
    return to_.logs.log(std::move(log));
  }
  Result<void> operation(CarriedOperation operation) override { return to_.logs.operation(std::move(operation)); }
  Result<void> file(CarriedFile file) override { return in_logs_ ? to_.logs.file(file) : to_.uploads.file(file); }
  Result<void> bytes(std::string_view piece) override {
    return in_logs_ ? to_.logs.bytes(piece) : to_.uploads.bytes(piece);
  }

  Result<void> end() {
    NEPTUNE_TRY(hand_in());
    return to_.logs.end();
  }
  std::uint64_t offered() const { return offered_; }                    ///< changes
  const std::vector<std::string>& refused() const { return refused_; }  ///< of these, why: sentences

 private:
  Result<bool> is_known(sources::Position number, const sources::Handed& handed) {
    // Of a move that was cut off, some may be here still.
    if (came_back_) {
      const auto place = to_.store.place(number);
      if (!place) return std::unexpected(place.error());
      if (place->queued) return true;
    }
    const auto id = to_.store.id_of_key(handed.by.uid, handed.changes.front().idempotency_key);
    if (!id) return std::unexpected(id.error());
    // It may have been queued again by an import that was cut off before that was noted.
    if (came_back_ && *id) back_.push_back({number, handed.changes.front().container, **id});
    if (back_.size() >= changes_a_transaction) NEPTUNE_TRY(note_back());
    return id->has_value();
  }

  void refuse(sources::Position number, const sources::Handed& handed, const Error& why) {
    const auto& change = handed.changes.front();
    const auto reason = why.code != "idempotency_key_reused"
                            ? why.message
                            : fmt::format(
                                  "its idempotency key '{}' was given to another change here before; hand it "
                                  "in here with another one",
                                  change.idempotency_key);
    refused_.push_back(fmt::format("change {} ({} of {} in {}): {}.", number, name(change.kind),
                                   change.container.label(), Scope::of(change.container.project).text(), reason));
  }

  Result<void> note_back() {
    if (back_.empty()) return {};
    NEPTUNE_TRY(to_.store.note_back(back_));
    back_.clear();
    return {};
  }

  Result<void> hand_in() {
    NEPTUNE_TRY(note_back());
    if (batch_.empty()) return {};
    std::uint64_t added = 0;
    for (const auto& request : batch_) {
      const auto bytes = to_.store.new_bytes(request);
      if (!bytes) return std::unexpected(bytes.error());
      added += *bytes;
    }
    if (to_.store.bytes() + added > most_bytes_)
      return fail("queue_full", "the queue is at its bound ([queue] max_bytes): raise it");
    const auto accepted = to_.store.accept(batch_, now_);
    if (!accepted) return std::unexpected(accepted.error());
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      if (accepted->refused[i])
        refuse(numbers_[i], batch_[i], *accepted->refused[i]);
      else if (came_back_)
        back_.push_back({numbers_[i], batch_[i].changes.front().container, accepted->ids[i].front()});
    }
    batch_.clear();
    numbers_.clear();
    return note_back();
  }

  To to_;
  bool came_back_, in_logs_ = false;
  std::uint64_t most_bytes_, offered_ = 0;
  WallTime now_;
  std::vector<sources::Handed> batch_;
  std::vector<sources::Position> numbers_;  // of the batch, where they come from
  std::vector<sources::QueueStore::CameBack> back_;
  std::vector<std::string> refused_;
};

std::string what_was_taken(std::uint64_t queued, const Importer& importer, const CarriedLogs::Count& logs,
                           const std::string& file) {
  const auto offered = importer.offered(), refused = std::uint64_t{importer.refused().size()};
  const auto known = offered - std::min(queued + refused, offered);
  std::string out;
  if (offered > 0 || !logs.any())
    out = fmt::format("{} of {} {} queued; {} {} known already.\n", number_of(queued, "change"), file,
                      queued == 1 ? "is" : "are", known, known == 1 ? "was" : "were");
  if (logs.any())
    out += fmt::format("{} and {} of {} in {} are taken; {} {} known already.\n",
                       number_of(logs.operations, "operation"), number_of(logs.files, "file"),
                       number_of(logs.logs, "log"), file, logs.known, logs.known == 1 ? "was" : "were");
  for (const auto& each : importer.refused()) out += fmt::format("Not taken: {}\n", each);
  return out;
}

/// What was taken is on record, so that nobody need fear to begin again.
Result<void> explained(Result<void> taken) {
  if (taken) return taken;
  auto error = std::move(taken.error());
  error.message += ". What was taken already is not taken twice: mend that, and import the file again.";
  return std::unexpected(std::move(error));
}

}  // namespace

Result<Carried> import_unsent(const Flags& flags, const fs::path& file, const std::optional<fs::path>& into) {
  auto config = config::load(flags.config);
  if (!config) return std::unexpected(config.error());
  // Opened as who asks; what follows is done as the directory's owner.
  auto reader = PortableReader::open(file);
  if (!reader) return std::unexpected(reader.error());
  auto claimed = claim(config->state_dir);
  if (!claimed) return std::unexpected(claimed.error());
  ::umask(077);
  auto store = sources::QueueStore::open(config->state_dir / queue_file);
  if (!store) return std::unexpected(store.error());
  auto ledger = engine::Ledger::open(config->state_dir / memory_file);
  if (!ledger) return std::unexpected(ledger.error());
  const auto now = std::chrono::system_clock::now();
  const auto record = (*ledger)->numbers_of_queue((*store)->identity());
  if (!record) return std::unexpected(record.error());
  NEPTUNE_TRY((*store)->close_gap(*record, now));
  const bool came_back = reader->is_of((*store)->identity());
  if (came_back && !reader->is_moved())
    return fail("same_queue", fmt::format("{} was exported on this very machine, where what is in it still is or was "
                                          "sent",
                                          file.string()));
  std::optional<fs::path> folder;
  if (into) folder = fs::absolute(*into).lexically_normal();
  const LogPlaces places(watch_folders(*config), folder);
  Check check(places);
  NEPTUNE_TRY(reader->each(check));
  const auto before = (*store)->last_number();
  if (!before) return std::unexpected(before.error());
  CarriedLogs logs(places, {reader->queue(), came_back}, **ledger, now);
  CarriedUploads uploads(config->state_dir);
  Importer importer({**store, logs, uploads}, came_back, config->queue.max_bytes, now);
  NEPTUNE_TRY(explained(reader->each(importer)));
  NEPTUNE_TRY(explained(importer.end()));
  const auto after = (*store)->last_number();
  if (!after) return std::unexpected(after.error());
  const auto queued = static_cast<std::uint64_t>(*after - *before);
  return Carried{what_was_taken(queued, importer, logs.count(), file.string()), importer.refused().empty()};
}

}  // namespace neptune::app

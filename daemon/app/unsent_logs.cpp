#include "app/unsent_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "app/carried_files.h"
#include "sources/run_log/log_uploads.h"
#include "support/clock.h"
#include "support/sizes.h"
#include "support/try.h"

namespace neptune::app {

using sources::LogDatabase;
using sources::Position;
using sources::SourceState;
using sources::SurveyedLog;

namespace {

constexpr auto no_end = std::numeric_limits<Position>::max();
constexpr std::uint64_t requests_at_once = 1000;
constexpr sources::BatchLimits at_once{.operations = 1000, .bytes = 1u << 20};

/// What is logged after `after`, as it is now.
Result<LogDatabase::Sum> sum_after(LogDatabase& database, Position after) {
  LogDatabase::Sum all;
  for (bool more = true; more;) {
    const auto sum = database.sum(std::max(after, all.last), no_end);
    if (!sum) return sum;
    all.count += sum->count;
    all.last = std::max(all.last, sum->last);
    more = sum->more;
  }
  return all;
}

const std::string& path_of(const SurveyedLog& log) {
  return log.facts.key.path;
}

}  // namespace

Result<void> UnsentLogs::write(PortableWriter& writer, Tally& tally) {
  const auto registry = std::make_shared<sources::LogRegistry>(1);
  auto survey = sources::survey_logs(folders_, registry);
  for (auto& problem : survey.problems) tally.left.push_back(std::move(problem));
  for (const auto& log : survey.logs)
    if (log.run && log.state != SourceState::closed) busy_.insert(*log.run);
  for (auto& log : survey.logs) NEPTUNE_TRY(write_log(std::move(log), writer, tally));
  return {};
}

/// Empty: nothing keeps it here.
std::string UnsentLogs::why_it_stays(const Unsent& unsent) const {
  const auto& log = unsent.log;
  const auto because = [&log](std::string_view why) { return fmt::format("the run log in {}, {}", path_of(log), why); };
  if (!is_plain_name(log.database->paths().directory.filename().string()))
    return because("whose name is none that another machine would take");
  if (!move_) return {};
  if (log.state != SourceState::closed)
    return because("which somebody has open, or may have; move it when its job has ended");
  if (unsent.in_doubt)
    return because("as what was sent before may be on the server; start the daemon here to finish that");
  if (busy_.contains(*log.run))
    return because(fmt::format("as a job has another log of {} open, which comes after it", log.run->id));
  return {};
}

/// Up to the last that was there when it was begun: what is added meanwhile is not of it, and what the daemon takes out
/// meanwhile is on the server.
template <class Does>
Result<void> UnsentLogs::each_operation(const Unsent& unsent, Does does) {
  auto& database = *unsent.log.database;
  for (auto after = unsent.after; after < unsent.upto;) {
    const auto plan = database.plan(after, at_once, *unsent.log.run);
    if (!plan) return std::unexpected(plan.error());
    if (std::holds_alternative<std::monostate>(*plan)) return {};
    sources::Batch batch;
    if (const auto* planned = std::get_if<sources::Batch>(&*plan)) batch = *planned;
    if (const auto* large = std::get_if<sources::Oversized>(&*plan)) {
      batch.first = batch.last = large->position;
      if (large->bytes > longest_operation)
        return fail("export_not_written",
                    fmt::format("operation {} of the run log in {} has {}, which no server takes: move the log away, "
                                "and export again",
                                large->position, unsent.log.facts.key.path, size_text(large->bytes)));
    }
    after = batch.last;
    if (batch.first > unsent.upto) return {};
    auto changes = database.changes(batch.first, std::min(batch.last, unsent.upto));
    if (!changes && changes.error().code == "run_log_changed") continue;
    if (!changes) return std::unexpected(changes.error());
    for (auto& change : *changes) NEPTUNE_TRY(does(std::move(change)));
  }
  return {};
}

/// What is not sent of it; false when that is nothing, or cannot be told.
Result<bool> UnsentLogs::look(Unsent& unsent, Tally& tally) {
  const auto& log = unsent.log;
  const auto record = ledger_.log_record(log.facts.key, *log.run);
  if (!record) return std::unexpected(record.error());
  const auto files = ledger_.log_record(log.facts.key, unsent.files_of);
  if (!files) return std::unexpected(files.error());
  const auto operations = sum_after(*log.database, record->confirmed);
  const auto requests = log.database->sum_files(files->confirmed);
  if (!operations || !requests) {
    tally.left.push_back(operations ? requests.error().message : operations.error().message);
    return false;
  }
  unsent.after = record->confirmed;
  unsent.upto = operations->last;
  unsent.in_doubt = record->in_doubt;
  if (operations->count + requests->count == 0) return false;
  if (auto why = why_it_stays(unsent); !why.empty()) {
    tally.left.push_back(std::move(why));
    return false;
  }
  // A log is carried as a whole: of one that turns out to be damaged nothing may be in the file before that is seen.
  const auto readable = each_operation(unsent, [](const sources::QueuedChange&) -> Result<void> { return {}; });
  if (!readable && readable.error().code == "sqlite_corrupt") {
    tally.left.push_back(readable.error().message);
    return false;
  }
  NEPTUNE_TRY(find_files(unsent, files->confirmed, tally));
  return operations->count > 0 || !unsent.files.empty();
}

/// Requests are taken out in their order, so the first whose file cannot be had stays with those after it.
Result<void> UnsentLogs::find_files(Unsent& unsent, Position after, Tally& tally) const {
  auto& database = *unsent.log.database;
  const auto owner = database.owner();
  if (!owner) return std::unexpected(owner.error());
  for (;;) {
    auto requests = database.file_requests(after, no_end, requests_at_once);
    if (!requests && requests.error().code == "sqlite_no_table") return {};
    if (!requests) return std::unexpected(requests.error());
    if (requests->empty()) return {};
    for (auto& request : *requests) {
      after = request.id;
      const auto expected = request.size;
      auto upload = sources::upload_of(std::move(request), *unsent.log.run, database);
      File file{.head = {.name = std::filesystem::path(upload.file).filename().string(),
                         .id = after,
                         .destination = upload.destination,
                         .mime_type = upload.mime_type},
                .source = {upload.file, upload.beneath, *owner},
                .temporary = upload.temporary};
      const auto identity = server::identify(file.source);
      if (!identity || identity->size != expected || !is_plain_name(file.head.name)) {
        tally.left.push_back(fmt::format("the files of the run log in {} from {} on{}", path_of(unsent.log),
                                         upload.file,
                                         identity ? ", which is not what it was" : ": " + identity.error().message));
        return {};
      }
      file.identity = *identity;
      unsent.files_upto = after;
      unsent.files.push_back(std::move(file));
    }
  }
}

Result<void> UnsentLogs::write_log(SurveyedLog log, PortableWriter& writer, Tally& tally) {
  if (log.problem) tally.left.push_back(log.problem->message);
  if (!log.problem && !log.run)
    tally.left.push_back(fmt::format("the run log in {}, which is still being made", path_of(log)));
  if (!log.run) return {};
  Unsent unsent{.log = std::move(log)};
  unsent.files_of = *unsent.log.run;
  unsent.files_of.kind = ContainerKind::files;
  const auto any = look(unsent, tally);
  if (!any) return std::unexpected(any.error());
  if (!*any) return {};
  NEPTUNE_TRY(writer.add(CarriedLog{.key = unsent.log.facts.key,
                                    .name = unsent.log.database->paths().directory.filename().string(),
                                    .last = unsent.upto,
                                    .project = unsent.log.run->project.full(),
                                    .run = unsent.log.run->id,
                                    .last_file = unsent.files_upto}));
  NEPTUNE_TRY(write_files(unsent, writer, tally));
  NEPTUNE_TRY(write_operations(unsent, writer));
  unsent.log.database->close();
  tally.logs++;
  tally.operations += unsent.count;
  if (move_) written_.push_back(std::move(unsent));
  return {};
}

Result<void> UnsentLogs::write_files(const Unsent& unsent, PortableWriter& writer, Tally& tally) const {
  for (const auto& file : unsent.files) {
    const auto opened = server::OpenFile::open(file.source);
    if (!opened) return std::unexpected(opened.error());
    NEPTUNE_TRY(write_file(file.head, **opened, writer));
    tally.files++;
  }
  return {};
}

Result<void> UnsentLogs::write_operations(Unsent& unsent, PortableWriter& writer) const {
  return each_operation(unsent, [&](sources::QueuedChange change) -> Result<void> {
    unsent.count++;
    return writer.add(CarriedOperation{.position = change.position,
                                       .creates = change.kind == ChangeKind::run_create,
                                       .at = static_cast<double>(to_unix_ms(change.at)),
                                       .bytes = std::move(change.payload)});
  });
}

Result<void> UnsentLogs::take_out_files(const Unsent& unsent, const std::string& file, WallTime now) {
  if (unsent.files.empty()) return {};
  const auto source = ledger_.source(unsent.log.facts.key, unsent.files_of);
  if (!source) return std::unexpected(source.error());
  const engine::Ledger::LogRecord record{.ids = {source->id}};
  NEPTUNE_TRY(ledger_.move_out(record, unsent.files_upto, {unsent.files.size(), now, file}));
  if (!unsent.log.facts.may_write) return {};
  for (bool more = true; more;) {
    const auto settled = unsent.log.database->settle_files(unsent.files_upto);
    more = settled && !settled->done;
  }
  // What cannot be removed stays beside the log, as after an upload.
  for (const auto& each : unsent.files)
    if (each.temporary) (void)server::remove_file(each.source, each.identity);
  return {};
}

Result<void> UnsentLogs::take_out(const std::string& file, WallTime now) {
  for (const auto& unsent : written_) {
    const auto& log = unsent.log;
    // It gets its row here when the daemon never saw it.
    const auto source = ledger_.source(log.facts.key, *log.run);
    if (!source) return std::unexpected(source.error());
    const engine::Ledger::LogRecord record{.ids = {source->id}};
    NEPTUNE_TRY(ledger_.move_out(record, unsent.upto, {unsent.count, now, file}));
    // What cannot be deleted now, as on a full disk, is passed over from here on, and the daemon deletes it later.
    for (bool more = log.facts.may_write; more;) {
      const auto settled = log.database->settle_some(unsent.upto, unsent.upto);
      more = settled && !settled->done;
    }
    NEPTUNE_TRY(take_out_files(unsent, file, now));
    log.database->close();
  }
  return {};
}

}  // namespace neptune::app

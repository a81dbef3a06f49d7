#include "app/unsent_dirs.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <functional>
#include <optional>

#include "app/carried_files.h"
#include "changes/client_operation.h"
#include "sources/client_dir/dir_files.h"
#include "support/clock.h"
#include "support/sizes.h"
#include "support/try.h"

namespace neptune::app {

namespace json = boost::json;
using sources::ClientLog;
using sources::LoggedOperation;
using sources::Position;
using sources::SourceState;

namespace {

constexpr std::uint64_t looked_at_once = 64u << 20, operations_at_once = 1000, bytes_at_once = 1u << 20;

/// Looks through all that is logged.
Result<ClientLog::State> look_to_the_end(ClientLog& log, Position after) {
  for (;;) {
    auto state = log.look(after, looked_at_once);
    if (!state || !state->more) return state;
  }
}

using Each = std::function<Result<void>(LoggedOperation&)>;

Result<void> each_operation(ClientLog& log, Position first, Position last, const Each& f) {
  while (first <= last) {
    auto operations = log.read(first, last, operations_at_once, bytes_at_once);
    if (!operations) return std::unexpected(operations.error());
    for (auto& operation : *operations) NEPTUNE_TRY(f(operation));
    first = operations->back().version + 1;
  }
  return {};
}

std::string carried_name(Position version) {
  return fmt::format("carried-{}", version);
}

/// The same upload, of what is in the directory's own folder for such.
std::optional<std::string> of_carried_file(const std::string& operation, Position version) {
  boost::system::error_code error;
  auto value = json::parse(operation, error);
  if (error || !value.is_object()) return std::nullopt;
  auto& object = value.as_object();
  object.erase("file_path");
  object["tmp_file_name"] = carried_name(version);
  return json::serialize(object);
}

Result<CarriedLog> head_of(const sources::SurveyedDir& directory, Position last, Position put) {
  const auto& facts = directory.facts;
  const std::filesystem::path path(facts.key.path);
  const auto opened = sources::open_directory(path);
  if (!opened) return std::unexpected(sources::unreadable(path, errno));
  auto metadata = sources::metadata_text(opened, path);
  if (!metadata) return std::unexpected(metadata.error());
  const auto written = std::chrono::system_clock::now() - facts.quiet_for;
  return CarriedLog{.kind = sources::Kind::client_dir,
                    .key = facts.key,
                    .name = path.filename().string(),
                    .last = last,
                    .project = facts.name->offline ? directory.folder.project : std::string(),
                    .offline = facts.name->offline,
                    .metadata = std::move(*metadata),
                    .put = put,
                    .written_ms = to_unix_ms(std::chrono::time_point_cast<WallTime::duration>(written))};
}

}  // namespace

Result<void> UnsentDirs::write(PortableWriter& writer, Tally& tally) {
  auto survey = sources::survey_client_dirs(folders_);
  for (auto& problem : survey.problems)
    if (std::ranges::find(tally.left, problem) == tally.left.end()) tally.left.push_back(std::move(problem));
  for (auto& directory : survey.directories) NEPTUNE_TRY(write_dir(std::move(directory), writer, tally));
  return {};
}

/// What keeps it here, and which files it needs.
Result<void> UnsentDirs::judge(Unsent& unsent, ClientLog& log) const {
  const auto& facts = unsent.directory.facts;
  const auto stays = [&unsent, &facts](const std::string& why) {
    unsent.why_it_stays = fmt::format("the 1.x directory {}, {}", facts.key.path, why);
    return Result<void>{};
  };
  if (!move_) return stays("as its points would be there twice if both machines sent them; it travels with --move");
  const auto verdict = sources::judge(unsent.directory, unsent.record.confirmed >= unsent.acked && unsent.acked > 0);
  if (verdict.state != SourceState::closed || verdict.held)
    return stays(
        "which its client may still write or sync; move it when its job has ended and it was quiet for a while");
  if (unsent.record.in_doubt)
    return stays("as what was sent before may be on the server; start the daemon here to finish that");
  if (unsent.record.ids.empty() && !facts.may_write)
    return stays(
        "which this user may not write, and which the daemon has not seen: nothing could keep it from being "
        "sent from here as well");
  const auto origin = log.origin();
  if (!origin) return stays(fmt::format("as {}", origin.error().message));
  const auto note = [&unsent, &facts, uid = origin->uid](LoggedOperation& logged) -> Result<void> {
    if (!may_go_alone(logged.json)) return {};
    const auto operation = read_client_operation(logged.json, 0);
    if (!operation || !operation->upload) return {};
    const auto& upload = *operation->upload;
    if (upload.what == ClientUpload::What::file_set)
      unsent.why_it_stays = fmt::format(
          "the 1.x directory {}, as a set of files that is to be uploaded (UploadFileSet) does not travel: let the "
          "daemon here reach the server, or carry the directory and the files by hand",
          facts.key.path);
    if (upload.what != ClientUpload::What::file) return {};
    if (!of_carried_file(logged.json, logged.version))
      unsent.why_it_stays = fmt::format("the 1.x directory {}, as its operation {} cannot be written anew",
                                        facts.key.path, logged.version);
    unsent.files[logged.version] = upload.tmp_file_name.empty()
                                       ? server::SourceFile{upload.file_path, {}, uid}
                                       : server::SourceFile{"upload_path/" + upload.tmp_file_name, facts.key.path, uid};
    return {};
  };
  return each_operation(log, unsent.first, unsent.last, note);
}

Result<void> UnsentDirs::write_dir(sources::SurveyedDir directory, PortableWriter& writer, Tally& tally) {
  if (directory.facts.problem) {
    tally.left.push_back(directory.facts.problem->message);
    return {};
  }
  auto record = ledger_.directory_record(directory.facts.key);
  if (!record) return std::unexpected(record.error());
  ClientLog log(directory.facts.key.path);
  const auto state = look_to_the_end(log, record->confirmed);
  if (!state) {
    tally.left.push_back(state.error().message);
    return {};
  }
  const auto done = std::max(state->acked, record->confirmed);
  if (state->last <= done) return {};
  Unsent unsent{.directory = std::move(directory),
                .record = std::move(*record),
                .acked = state->acked,
                .first = done + 1,
                .last = state->last,
                .put = state->put};
  NEPTUNE_TRY(judge(unsent, log));
  if (!unsent.why_it_stays.empty()) {
    tally.left.push_back(std::move(unsent.why_it_stays));
    return {};
  }
  const auto head = head_of(unsent.directory, unsent.last, unsent.put);
  if (!head) return std::unexpected(head.error());
  NEPTUNE_TRY(writer.add(*head));
  NEPTUNE_TRY(write_files(unsent, writer, tally));
  NEPTUNE_TRY(write_operations(unsent, log, writer));
  tally.directories++;
  tally.operations += static_cast<std::uint64_t>(unsent.last - done);
  written_.push_back(std::move(unsent));
  return {};
}

Result<void> UnsentDirs::write_files(const Unsent& unsent, PortableWriter& writer, Tally& tally) const {
  for (const auto& [version, file] : unsent.files) {
    const auto opened = server::OpenFile::open(file);
    // Its upload will be refused there, as it would be here.
    if (!opened) {
      tally.left.push_back(opened.error().message);
      continue;
    }
    NEPTUNE_TRY(write_file({.name = carried_name(version)}, **opened, writer));
    tally.files++;
  }
  return {};
}

Result<void> UnsentDirs::write_operations(const Unsent& unsent, ClientLog& log, PortableWriter& writer) const {
  const auto one = [&unsent, &writer](LoggedOperation& logged) {
    CarriedOperation operation{.position = logged.version, .at = logged.at, .bytes = std::move(logged.json)};
    if (unsent.files.contains(logged.version)) operation.bytes = *of_carried_file(operation.bytes, logged.version);
    return writer.add(operation);
  };
  return each_operation(log, unsent.first, unsent.last, one);
}

Result<void> UnsentDirs::take_out(const std::string& file, WallTime now) {
  for (const auto& unsent : written_) {
    const auto& facts = unsent.directory.facts;
    const auto count = static_cast<std::uint64_t>(unsent.last - unsent.first + 1);
    NEPTUNE_TRY(ledger_.move_out(unsent.record, unsent.last, {count, now, file}));
    if (!facts.may_write) continue;
    ClientLog log(facts.key.path);
    const auto acknowledged = log.acknowledge(unsent.last);
    // Where the daemon knows it, it does that later; else nothing would keep it from being sent from here.
    if (!acknowledged && unsent.record.ids.empty())
      return fail("not_taken_out",
                  fmt::format("{} is in {}, and could not be acknowledged here: {}. Write {} into its last_ack_version "
                              "before a daemon runs here, or what it holds is sent from both machines.",
                              facts.key.path, file, acknowledged.error().message, unsent.last));
  }
  return {};
}

}  // namespace neptune::app

#include "sources/client_dir/dir_facts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace neptune::sources {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto being_made = 10s;  // so young a directory may get its metadata.json yet, or the rest of it

std::int64_t ns(const statx_timestamp& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

bool writable(const fs::path& path) {
  return ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

Duration since(std::int64_t written_ns) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::max(Duration::zero(), std::chrono::duration_cast<Duration>(now - std::chrono::nanoseconds(written_ns)));
}

/// Not last_ack_version, which is our own doing too.
struct Written {
  std::int64_t newest_ns = 0, stamp = 0;

  void look(const fs::path& file) {
    struct statx data{};
    if (::statx(AT_FDCWD, file.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &data) != 0) return;
    newest_ns = std::max(newest_ns, ns(data.stx_mtime));
    stamp += ns(data.stx_ctime) + static_cast<std::int64_t>(data.stx_size);
  }
};

void read_what_it_says(ClientDirFacts& facts, const fs::path& path, Written& written) {
  const auto directory = open_directory(path);
  if (!directory) {
    facts.problem = unreadable(path, errno);
    return;
  }
  auto metadata = read_metadata(directory, path);
  if (!metadata) {
    facts.problem = std::move(metadata.error());
  } else if (metadata->container_type != name(facts.name->container)) {
    facts.problem = Error{"client_dir_damaged",
                          fmt::format("{} says in its metadata.json that it is of a {}; nothing of it is touched: mend "
                                      "it, or move the directory away",
                                      path.string(), metadata->container_type.substr(0, 40))};
  } else {
    facts.metadata = std::move(*metadata);
  }
  for (const auto* name : {"metadata.json", "last_put_version"}) written.look(path / name);
  const auto files = data_files(directory, path);
  if (!files) {
    if (!facts.problem) facts.problem = files.error();
    return;
  }
  for (const auto first : *files) {
    const auto file = path / data_file_name(first);
    written.look(file);
    if (!facts.problem && ::faccessat(AT_FDCWD, file.c_str(), R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) != 0)
      facts.problem = unreadable(file, errno);
  }
}

}  // namespace

ClientDirFacts look_at_client_dir(const fs::path& path) {
  ClientDirFacts facts;
  facts.key.path = path.string();
  struct statx data{};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &data) != 0) {
    facts.there = errno != ENOENT && errno != ENOTDIR;
    if (facts.there) facts.problem = unreadable(path, errno);
    return facts;
  }
  if (!S_ISDIR(data.stx_mode)) return facts;
  facts.there = true;
  facts.key.device = makedev(data.stx_dev_major, data.stx_dev_minor);
  facts.key.inode = data.stx_ino;
  if (data.stx_mask & STATX_BTIME) facts.key.born_ms = ns(data.stx_btime) / 1'000'000;
  facts.ours = data.stx_uid == ::geteuid();
  Written written;
  written.stamp = data.stx_mode;
  auto name = parse_client_dir(path);
  if (!name) {
    facts.problem = std::move(name.error());
  } else {
    facts.name = std::move(*name);
    read_what_it_says(facts, path, written);
    facts.producer = look_at_process(facts.name->pid);
  }
  facts.stamp = written.stamp;
  facts.quiet_for = since(written.newest_ns > 0 ? written.newest_ns : ns(data.stx_mtime));
  const auto ack = path / "last_ack_version";
  struct statx acked{};
  const bool has_ack = ::statx(AT_FDCWD, ack.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &acked) == 0;
  facts.acked_ago = has_ack ? since(ns(acked.stx_mtime)) : facts.quiet_for;
  facts.may_write = writable(path) && (!has_ack || writable(ack));
  return facts;
}

ClientDirVerdict judge_client_dir(const ClientDirFacts& facts, ClientDirHistory history, const ClientDirRules& rules) {
  if (facts.problem) {
    const auto& code = facts.problem->code;
    const bool incomplete = code == "client_dir_without_metadata" || code == "client_dir_damaged";
    if (incomplete && facts.quiet_for < being_made) return {SourceState::settling_in, being_made - facts.quiet_for};
    return {SourceState::set_aside, std::nullopt};
  }
  const bool alive = judge_producer(facts.producer, facts.metadata.created_ms) == Producer::alive;
  if (facts.name->offline) {
    if (alive) return {SourceState::live, std::nullopt};
    if (history.seen_alive || facts.quiet_for >= rules.closed_after) return {SourceState::closed, std::nullopt};
    return {SourceState::live, rules.closed_after - facts.quiet_for};
  }
  if (alive) return {SourceState::left_to_client, std::nullopt};
  if (history.taken) return {SourceState::closed, std::nullopt};
  // A client that only waits for the server writes nothing but what was acknowledged.
  const auto quiet_for = std::min(facts.quiet_for, facts.acked_ago);
  if (quiet_for >= rules.takeover_after) return {SourceState::closed, std::nullopt};
  return {SourceState::left_to_client, rules.takeover_after - quiet_for};
}

}  // namespace neptune::sources

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/lib/types.h"
#include "support/error.h"

/// A client of the daemon's local API. Blocking, with a deadline on everything; one thread a Client.
namespace neptune::client {

using Deadline = std::chrono::steady_clock::time_point;

/// What is known of an answer besides what is in it.
struct Answered {
  unsigned status = 0;
  std::string field{};  ///< of the request, which the daemon found at fault
};

struct Options {
  std::string socket{};                      ///< see default_socket
  std::chrono::milliseconds timeout{10000};  ///< of one request, from dialling to the answer's last byte
  /// Where that of the last answer is left, for those who tell a wrong request from other refusals.
  Answered* answered = nullptr;
  /// How long changes are handed in again, at the times the daemon says, while it has no room for them.
  std::chrono::milliseconds busy_patience{60000};
};

/// `$NEPTUNE_SYNC_SOCKET`; else the system daemon's socket, /run/neptune-syncd/api.sock; else, where only that one is
/// there, the user daemon's: $XDG_RUNTIME_DIR/neptune-syncd/api.sock (/run/user/UID where that is not set), or, of a
/// daemon that was started without a runtime directory, the one in its state directory; else the one that a
/// configuration in its usual place names (`socket`, or of its `state_dir`). Where there is none at all: the one that
/// the user's own daemon would have, if its configuration is there.
std::string default_socket();

/// Of all these places, the first at which another daemon listens than the one at default_socket(); empty where there
/// is none, or `$NEPTUNE_SYNC_SOCKET` says which is meant.
std::string passed_over();

/// The one that the user's own daemon has, or would have.
std::string own_socket();

/// The daemon could not be asked (not running, no permission, no answer in time), as opposed to: it said no.
bool is_unreachable(const Error& error);

/// The code of what is unreachable as this user may not use its socket.
inline constexpr std::string_view not_permitted = "daemon_not_permitted";

/// For a segment of a path or a value of a query: everything but letters, digits and -._~ is encoded.
std::string percent_encode(std::string_view text);

/// An answer, and the JSON it came as.
template <class T>
struct Reply {
  T value;
  std::string json{};
};

/// The most that the daemon takes with one body of changes: docs/local-api.md.
inline constexpr std::size_t body_bytes = 16 << 20, body_changes = 100'000;

/// What is said of a body of changes besides.
struct Submission {
  std::string_view content_type{};  ///< none: the daemon sees which form it has
  std::string project{};            ///< of the changes that name none
  std::uint64_t copies = 0;         ///< bytes of files that the daemon is to copy before it answers: a second each MiB
  std::uint64_t first_line = 1;     ///< of the file that it is a part of: where it begins, for what is said of lines
};

struct StreamQuery {
  std::optional<std::string> project{};
  std::optional<std::string> run{};
  std::optional<std::string> file{};  ///< an absolute path: those of which this file waits to be uploaded
};

/// The daemon's events, one after the other, until it drains.
class EventStream {
 public:
  EventStream(EventStream&&) noexcept;
  EventStream& operator=(EventStream&&) noexcept;
  ~EventStream();

  /// All that has arrived, at least one; nothing when the deadline came first. Errors: "stream_ended" when the daemon
  /// has ended it, "daemon_lost" when the daemon is gone.
  Result<std::vector<Reply<api::Event>>> next(Deadline deadline);

  /// Becomes readable when something arrives, for those who wait on other things too: then ask `next` with a deadline
  /// that is over. Owned by the stream.
  int descriptor() const;

 private:
  friend class Client;
  class Impl;
  explicit EventStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Every call is a connection of its own, so that a Client outlives the daemon it talks to.
/// Errors: those of the daemon as it gave them, else is_unreachable, else "bad_answer".
class Client {
 public:
  explicit Client(Options options) : options_(std::move(options)) {}

  const std::string& socket() const { return options_.socket; }

  Result<Reply<api::Status>> status() const;
  Result<Reply<api::WorkspaceList>> workspaces() const;
  /// Of the server, which the daemon asks.
  Result<Reply<api::ServerProjectList>> server_projects(std::string_view workspace) const;
  Result<Reply<api::MemberList>> members(std::string_view project) const;
  Result<Reply<api::StreamList>> streams(const StreamQuery& query) const;
  Result<Reply<api::RejectedList>> rejected(std::int64_t before, std::uint32_t limit) const;
  Result<Reply<api::Rejected>> rejected_one(std::int64_t id) const;
  Result<std::string> rejected_payload(std::int64_t id) const;
  Result<Reply<api::RejectedReply>> retry(std::int64_t id) const;
  Result<Reply<api::RejectedReply>> discard(std::int64_t id) const;
  /// By the id that handing it in was answered with.
  Result<Reply<api::ChangePlace>> change(std::int64_t id) const;
  /// What the daemon sees of its surroundings.
  Result<Reply<api::Diagnosis>> diagnose_box() const;
  /// The way to its servers. Takes as long as the daemon needs for it, which has its deadlines: up to some minutes.
  Result<Reply<api::Diagnosis>> diagnose_way() const;
  Result<Reply<api::FlushReply>> flush() const;
  /// `below`: an absolute path, or empty for all there is. What is the caller's own to remove is left to it (tidy.h).
  Result<Reply<api::TidyReply>> tidy(const std::string& below, bool dry_run) const;
  Result<Reply<api::ScopeReply>> hold(std::string_view scope) const;
  Result<Reply<api::ScopeReply>> release(std::string_view scope) const;
  /// `kind` of the one container that is meant: "run", or "model" (also of a version); empty: all of the scope.
  Result<Reply<api::DiscardReply>> discard_waiting(std::string_view scope, std::string_view kind = {},
                                                   std::string_view container = {}) const;
  Result<Reply<api::ScopeReply>> probe(std::string_view scope) const;
  Result<Reply<api::ReleasePlan>> plan_release(std::string_view scope) const;

  /// Hands in a body of changes, all or none of them: JSON (one object, or an array) or NDJSON. Takes longer than the
  /// timeout for a large body, and up to `busy_patience` more while the daemon is busy with others. When the answer is
  /// lost, whether they were taken is not known.
  Result<Reply<api::SubmitReply>> submit(std::string_view body, const Submission& how = {}) const;

  /// `since`: the events after that id first; none: when following, those from now on, else all that are kept.
  /// The stream has begun when this returns: whatever happens from then on is in it.
  Result<EventStream> events(std::optional<std::uint64_t> since, bool follow) const;

 private:
  struct Request;

  Client with_patience(std::chrono::milliseconds timeout) const;
  Result<std::string> call(const Request& request) const;
  /// `come_back`: when, if the daemon says so.
  Result<std::string> call_once(const Request& request, std::optional<std::chrono::seconds>& come_back) const;
  template <class T>
  Result<Reply<T>> ask(std::string_view method, const std::string& target,
                       std::chrono::milliseconds busy_patience = std::chrono::milliseconds(0)) const;
  template <class T>
  Result<Reply<T>> nudge(const std::string& target) const;

  Options options_;
};

}  // namespace neptune::client

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "changes/change_json.h"
#include "changes/file_upload.h"
#include "changes/limits.h"
#include "changes/management.h"
#include "core/core.h"
#include "core/timers.h"
#include "engine/control.h"
#include "engine/event_log.h"
#include "engine/impl/attribute_calls.h"
#include "engine/impl/search_lag.h"
#include "engine/impl/together.h"
#include "engine/impl/upload_slots.h"
#include "engine/impl/why.h"
#include "engine/impl/workspace_types.h"
#include "engine/ledger.h"
#include "engine/rate.h"
#include "server/server.h"
#include "sources/change_queue/change_queue.h"
#include "sources/client_dirs.h"
#include "sources/run_logs.h"
#include "sources/source.h"
#include "support/bandwidth.h"
#include "support/clock.h"
#include "support/state_dir.h"
#include "support/task_group.h"
#include "support/worker_pool.h"

namespace neptune::engine {

/// A server and its token. Without a server (`problem` says why: no token yet, a bad one) its changes wait.
struct ServerSlot {
  std::shared_ptr<server::Server> server;
  Error problem;
  std::string token_remedy{};  ///< a sentence: how a new token gets here
  std::string remedy{};        ///< a sentence: what ends the problem, where that is not the token's

  bool lacks_token() const { return !server && remedy.empty(); }
  bool is_unusable() const { return !server && !remedy.empty(); }
};

/// How runs get to their server.
enum class RunsBy : std::uint8_t {
  finding_out,  ///< by ingestion where the server has it, which is found out once per server; else by calls
  ingestion,
  calls,  ///< created as containers of 1.x, and updated as attributes
};

/// How files are sent.
struct UploadOptions {
  std::uint32_t max_concurrent = 4;      ///< files at once, of all servers
  std::uint64_t max_bandwidth = 0;       ///< bytes a second of all of them together; 0: no limit
  std::uint64_t chunk_size = 16u << 20;  ///< server::UploadSettings
  std::uint64_t keep_free = 1ull << 30;  ///< of the state directory's disk, when a file is copied there
  std::uint32_t most_failures = 30;      ///< of one file, on the way or at its store, while others get through
  std::chrono::milliseconds pace{10};    ///< UploadSlots
};

struct EngineOptions {
  std::string version;
  core::Options core;
  std::uint64_t seed = 0;
  std::chrono::milliseconds idle_release{
      200};  ///< how long a log without news stays open: the producer's close is to find it let go
  std::chrono::milliseconds problem_retry{
      30000};  ///< a source that could not be read, or a ledger that could not be written
  RunsBy runs = RunsBy::finding_out;
  std::chrono::milliseconds ask_for_ingestion{60000};  ///< how often, of a server that seems to have none
  std::map<std::string, std::uint32_t> priorities;     ///< workspace → turns
  UploadOptions uploads{};
  std::chrono::milliseconds doubt_patience{60000};  ///< AttributeCall::patience
  std::filesystem::path socket{};                   ///< where people ask: whether others may, too
};

struct UploadItem;

/// Drives the core: takes batches from the sources, hands them to the servers, and feeds back what happened.
///
/// Operation: each source is a Feed, tended by at most one coroutine at a time (`tend`), which makes all calls on the
/// source but the reading of a body that is being sent. Each action of the core is carried out by a coroutine of the
/// task group; its outcome goes back into the core, whose next actions follow (`pump`). One alarm clock serves the core
/// and the feeds. Order of what is durable: a confirmed position or a rejection is in the ledger first, then the
/// source's rows are deleted. Files are a lane of the core beside all else; a batch of them is sent by some coroutines
/// at once, of which each takes one of the places that all batches share (uploads.cpp). Concurrency: everything on one
/// executor and thread, but SQLite, which is on worker threads.
class Engine final : public Control, public sources::SourceListener {
 public:
  Engine(boost::asio::any_io_executor executor, const Clock& clock, EngineOptions options, StateDir& state_dir,
         std::unique_ptr<Ledger> ledger, std::vector<ServerSlot> servers,
         std::map<std::string, core::ServerId> workspace_servers);
  ~Engine() override;

  /// Reads what the ledger kept (modes, counts). Before anything else.
  boost::asio::awaitable<Result<void>> restore();
  /// Where the sources come from; before its `run` is spawned.
  void follow(sources::RunLogs& run_logs,
              std::map<std::string, std::optional<std::chrono::milliseconds>> cleanup_after);
  void follow(sources::ClientDirs& client_dirs) { client_dirs_ = &client_dirs; }
  /// What the ledger knows of the queue with this identity (ChangeQueueOptions::on_record). Before `restore`.
  Result<sources::OnRecord> on_record(std::uint64_t queue);
  /// Where local changes are kept; likewise. Tells what it lost.
  void follow(sources::ChangeQueue& queue);
  /// They cannot be kept: they are refused, and people are told why.
  void without_queue(Error problem) { queue_problem_ = std::move(problem); }
  /// `changed` is called whenever what `status` says may have changed; often.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }
  /// Before anything is handed in: copies of files that no change needs.
  boost::asio::awaitable<void> remove_unneeded_copies();
  /// Starts the alarm clock.
  void start();

  /// Starts nothing new, and waits for what is being handed in, at most `bound`.
  boost::asio::awaitable<void> drain(std::chrono::milliseconds bound);
  /// Ends every task. After it nothing calls into the sources or the servers.
  boost::asio::awaitable<void> stop();

  /// A configuration that was to be read anew is wrong, and the one before stays; empty: it was taken.
  void configuration_refused(std::string why);
  /// A token was read anew.
  void replace_server(core::ServerId id, ServerSlot slot);
  /// The configuration was read anew; a workspace that `priorities` does not name has one turn.
  /// Files that are being sent go on as they began.
  void set_limits(std::uint32_t max_in_flight, core::GateOptions gate, std::map<std::string, std::uint32_t> priorities,
                  const UploadOptions& uploads);
  /// Whether what happens could be recorded now.
  boost::asio::awaitable<Result<void>> store_answers();

  // Control
  api::Status status() const override;
  Metrics metrics() const override;
  std::vector<api::Stream> streams(const StreamFilter& filter) const override;
  boost::asio::awaitable<Result<std::vector<api::Stream>>> streams_of_file(StreamFilter filter,
                                                                           std::string file) override;
  boost::asio::awaitable<Result<std::vector<api::Rejected>>> rejected(std::int64_t before,
                                                                      std::uint32_t limit) override;
  boost::asio::awaitable<Result<std::string>> rejected_payload(std::int64_t id) override;
  boost::asio::awaitable<Result<void>> retry_rejected(std::int64_t id) override;
  boost::asio::awaitable<Result<void>> discard_rejected(std::int64_t id, std::string by) override;
  boost::asio::awaitable<std::vector<api::Event>> events_after(std::uint64_t after) override;
  std::uint64_t last_event_id() const override { return events_.last_id(); }
  api::Diagnosis diagnose_box() override;
  boost::asio::awaitable<api::Diagnosis> diagnose_way() override;
  api::FlushReply flush() override;
  boost::asio::awaitable<api::TidyReply> tidy(TidyRequest request) override;
  boost::asio::awaitable<Accepted> accept(std::vector<Change> changes, Submitter by) override;
  boost::asio::awaitable<Result<api::ChangePlace>> change(std::int64_t id) override;
  WorkspaceType workspace_type(std::string_view workspace) const override;
  boost::asio::awaitable<Result<api::ServerProjectList>> server_projects(std::string workspace) override;
  boost::asio::awaitable<Result<api::MemberList>> members(ProjectName project) override;
  boost::asio::awaitable<Result<api::DiscardReply>> discard_waiting(DiscardRequest request) override;
  boost::asio::awaitable<Result<api::ScopeReply>> hold(Scope scope, std::string by) override;
  boost::asio::awaitable<Result<api::ScopeReply>> release(Scope scope, std::string by) override;
  Result<api::ScopeReply> probe(const Scope& scope) override;
  boost::asio::awaitable<Result<api::ReleasePlan>> plan_release(Scope scope) override;

  // SourceListener
  void source_changed(const sources::SourceInfo& info, std::shared_ptr<sources::Source> source) override;
  void source_written(const sources::SourceKey& key) override;
  void source_grew(const sources::SourceKey& key, const sources::Growth& growth) override;
  void source_vanished(const sources::SourceKey& key) override;
  void source_unwatched(const sources::SourceKey& key) override;
  void first_scan_done() override;

 private:
  /// A log is looked at again so many times after a write to it (tending.cpp).
  static constexpr std::size_t looks_after_a_write = 4;

  struct Feed;
  using FeedPtr = std::shared_ptr<Feed>;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  // feeds.cpp: sources become streams
  void follow_files(const FeedPtr& log);
  void tell_files_of(const Feed& log);
  void open_stream(const FeedPtr& feed);
  static bool is_in_line(const Feed& feed);
  awaitable<void> open_in_turn();
  awaitable<void> look_up(FeedPtr feed);
  void begin_stream(const FeedPtr& feed, const LedgerSource& known);
  void find_container(const FeedPtr& feed);
  awaitable<void> look_for_container(FeedPtr feed);
  awaitable<Result<std::optional<ContainerName>>> known_container(FeedPtr feed);
  void leave(const sources::SourceKey& key, bool unwatched);
  void wake_what_came_back(const sources::SourceKey& key);
  std::uint64_t waiting_in(const Feed& feed) const;
  void remember_unread(Feed& feed) const;
  Lost lost_with(const Feed& feed) const;
  void tell_of_leaving(Feed& feed);
  void close_stream(const FeedPtr& feed);
  void set_aside(const FeedPtr& feed, Error problem);
  void not_readable(const FeedPtr& feed, Error problem);
  void start_over(const FeedPtr& feed, Error problem);
  void tell_discovering();
  void expect_more(const Feed& feed, bool on);
  void told(Feed& feed, sources::Position upto);
  void note_settling_in(const sources::SourceInfo& info);
  void tell_of(const sources::SourceInfo& info);
  void look_for_rest(FeedPtr feed);
  bool at_rest(const Feed& feed) const;
  std::optional<Instant> known_at(const Feed& feed) const;
  // tidying.cpp: what is synced and closed is removed, after a while or because its owner says so
  struct Candidate;
  void tidy_later(const FeedPtr& feed);
  awaitable<void> tidy(FeedPtr feed);
  awaitable<Result<bool>> remove_synced(FeedPtr feed);
  awaitable<Result<std::optional<sources::Removal>>> removable(FeedPtr feed);
  std::vector<Candidate> candidates(const std::string& below) const;
  std::string why_it_stays(const Feed& feed) const;
  awaitable<api::TidyItem> with_what_is_left(api::TidyItem item, bool keeps_rejected);
  awaitable<api::TidyItem> tidy_one(Candidate candidate, TidyRequest request);
  awaitable<Result<bool>> keeps_rejected(FeedPtr feed);
  const std::optional<std::chrono::milliseconds>* cleanup_after(const Feed& feed) const;
  // client_dirs.cpp: an offline run's directory gets the name of a registered one
  bool wants_rename(const Feed& feed) const;
  awaitable<void> rename_registered(FeedPtr feed);
  void cannot_rename(Feed& feed, Error error);
  void move_feed(const FeedPtr& feed, sources::SourceKey key);
  FeedPtr feed_of(core::StreamId stream) const;

  // tending.cpp: all work on one source, one thing after the other
  void tend(const FeedPtr& feed);
  awaitable<void> tending(FeedPtr feed);
  awaitable<bool> tend_once(FeedPtr feed);
  awaitable<void> refresh(FeedPtr feed);
  void not_counted(const FeedPtr& feed, const Error& error);
  awaitable<void> count_aside(FeedPtr feed);
  awaitable<void> step_aside(FeedPtr feed, core::StepAside aside);
  awaitable<void> let_create_pass(FeedPtr feed);
  static bool may_record(const Feed& feed);
  awaitable<void> record(FeedPtr feed, core::Settle settle);
  awaitable<void> record(FeedPtr feed, core::Reject reject);
  awaitable<void> record_again(FeedPtr feed, core::Reject reject);
  static Rejection rejection_of(const Feed& feed, const sources::QueuedChange& change, std::string code,
                                std::string reason, WallTime now);
  static std::string with_attributes(std::string reason, const sources::QueuedChange& change, const std::string& part);
  static void note_recorded(Feed& feed, sources::Position upto);
  void note_rejected(Feed& feed, const std::string& code, sources::Position last, std::uint64_t count);
  void no_longer_kept(const std::string& source, const ContainerName& container, bool stored);
  awaitable<void> retry_forks_of(ContainerName parent);
  awaitable<Result<void>> resolve(FeedPtr feed, sources::Position upto);
  awaitable<Result<std::vector<Rejection>>> settle(FeedPtr feed, core::Settle settle,
                                                   std::vector<RejectedChange> refused, WallTime now);
  void note_settled(Feed& feed, const core::Settle& settle, WallTime now);
  awaitable<Result<sources::QueuedChange>> change_to_keep(FeedPtr feed, sources::Position position);
  awaitable<Result<RejectedChange>> rejected_change(FeedPtr feed, core::Refusal refusal, WallTime now);
  awaitable<Result<std::vector<RejectedChange>>> rejected_changes(FeedPtr feed, std::vector<core::Refusal> refused,
                                                                  WallTime now);
  void tell_rejected(const ContainerName& container, const Rejection& rejection);
  awaitable<void> take_out(FeedPtr feed);
  void tell_of_end(const Feed& feed);
  awaitable<void> finish(FeedPtr feed);
  void not_recorded(const FeedPtr& feed, const Error& error);
  void look_again(const FeedPtr& feed);

  // actions.cpp: the core's decisions, carried out
  void pump();
  void no_longer_sent(core::StreamId stream);
  void carry_out(core::Send send);
  void carry_out(core::Check check);
  void carry_out(core::Settle settle);
  void carry_out(core::Reject reject);
  void carry_out(core::StepAside aside);
  void carry_out(core::MakeWay way);
  void carry_out(core::LetCreatePass pass);
  void carry_out(core::AskStatus ask);
  void carry_out(core::AskServer ask);
  void carry_out(core::ModeChanged changed);
  void carry_out(core::ServerChanged changed);
  awaitable<void> take_batch(FeedPtr feed, core::Send send);
  awaitable<void> hand_in(FeedPtr feed, std::shared_ptr<sources::Source> source, core::StreamId stream,
                          sources::Batch batch);
  awaitable<void> check(core::Check check);
  awaitable<void> ask_status(core::AskStatus ask);
  awaitable<void> ask_server(core::AskServer ask);
  awaitable<void> keep_mode(Scope scope);
  /// Whether the stream's write may still begin: what the gate let go may have closed while it was read and connected.
  server::MayBegin may_begin(core::StreamId stream) const {
    return [this, stream] { return core_.may_begin(stream); };
  }
  /// What a call to the server says about it; `failure` is null when the call went well.
  void heard_from(core::ServerId id, const Failure* failure);
  core::ServerId server_of(const std::string& workspace) const;
  void set_priorities(const std::map<std::string, std::uint32_t>& priorities);

  // particulars.cpp: what a check does not tell of a change
  RequestStatus with_particulars(core::StreamId stream, const std::string& request_id, RequestStatus status);
  awaitable<void> find_particulars(FeedPtr feed, core::StreamId stream, core::Sent carried, RequestStatus status);
  void note_create(Feed& feed, sources::Position create) const;
  awaitable<RequestStatus> compare_run(ContainerName run, sources::QueuedChange create, RequestStatus status);
  awaitable<RequestStatus> find_refused(FeedPtr feed, core::StreamId stream, sources::QueuedChange change,
                                        RequestStatus status);
  awaitable<Answer<RequestStatus>> ask_about(FeedPtr feed, core::StreamId stream, std::string update);

  // calls.cpp: changes that are calls of their own
  bool goes_by_call(const Feed& feed) const;
  bool is_registered(const Feed& feed) const;
  awaitable<bool> lacks_ingestion(core::ServerId id, Failure failure);
  awaitable<bool> ingestion_is_back(core::ServerId id, bool creates);
  awaitable<void> make_call(FeedPtr feed, std::shared_ptr<sources::Source> source, core::StreamId stream,
                            sources::Batch batch);
  static void record_late(const FeedPtr& feed, core::StreamId stream, const core::Sent& sent,
                          std::vector<core::Refusal> refused);
  awaitable<bool> is_on_record(ProjectName project);
  awaitable<Answer<void>> register_run(FeedPtr feed, std::shared_ptr<server::Server> server,
                                       server::MayBegin may_begin);
  awaitable<Answer<void>> see_to(ContainerName container, ChangeKind kind);
  awaitable<CallOutcome> call(FeedPtr feed, std::shared_ptr<sources::Source> source, core::StreamId stream,
                              sources::Batch batch);
  awaitable<CallOutcome> call_with(FeedPtr feed, std::shared_ptr<sources::Source> source, core::StreamId stream,
                                   std::shared_ptr<server::Server> server, std::vector<sources::QueuedChange> changes);
  awaitable<CallOutcome> manage(FeedPtr feed, std::shared_ptr<server::Server> server, Intents intents,
                                server::MayBegin may_begin, sources::QueuedChange change, WorkspaceType type);
  awaitable<CallOutcome> make_version(FeedPtr feed, std::shared_ptr<server::Server> server, Intents intents,
                                      server::MayBegin may_begin, sources::Position position,
                                      ModelVersionCreate create);
  std::optional<RunsChange> removal_of(const Management& management) const;
  awaitable<void> note_removal(RunsChange change, sources::Position position);
  void forget_old_removals();
  server::Missing missing_runs(const Feed& feed, const RunsChange& change, sources::Position position) const;
  Intents intents_of(const Feed& feed, sources::Position position);
  awaitable<Result<std::optional<std::string>>> intent(Ledger::IntentOf of, sources::Position first);
  awaitable<Result<void>> intend(Ledger::IntentOf of, sources::Position first, sources::Position last,
                                 std::string text);

  // client_uploads.cpp: files of attributes that a 1.x client logged
  awaitable<CallOutcome> upload_for_client(FeedPtr feed, core::StreamId stream, std::shared_ptr<server::Server> server,
                                           sources::QueuedChange change, ClientUpload wanted);
  awaitable<server::UploadOutcome> send_for_client(FeedPtr feed, core::StreamId stream, sources::Position position,
                                                   std::shared_ptr<server::Server> server,
                                                   server::AttributeUpload upload);
  bool may_go_on(const Feed& feed, core::StreamId stream, Instant until) const;

  // uploads.cpp: files, from a batch to what became of each
  struct UploadBatch;
  using UploadBatchPtr = std::shared_ptr<UploadBatch>;
  /// A file on its way, for people.
  struct ActiveUpload {
    ContainerName container;
    const Feed* feed = nullptr;
    sources::Position position = 0;
    std::string attribute, file;
    std::uint64_t done = 0, total = 0;
    std::optional<std::uint64_t> found{};  // of it there already, once that is known
    Rate rate{};                           // of what left
    Instant told_at{};
    std::uint64_t told_tenths = 0;
  };
  struct DoneFile {
    Ledger::DoneUpload done;
    bool durable = false;  ///< Ledger::uploads_done
  };
  class LedgerProgress;
  class Uploading;
  static ActiveUpload upload_in(const Feed& feed, const UploadItem& item);
  awaitable<void> send_files(FeedPtr feed, std::shared_ptr<sources::Source> source, core::Send send,
                             sources::Batch batch);
  awaitable<void> send_unless_called_off(UploadBatchPtr work);
  awaitable<void> send_batch(UploadBatchPtr work);
  static awaitable<void> await_calling_off(UploadBatchPtr work);
  static awaitable<void> undisturbed(awaitable<void> what);
  awaitable<void> call_off(FeedPtr feed);
  awaitable<bool> prepare_files(UploadBatchPtr work);
  awaitable<bool> read_files(UploadBatchPtr work);
  awaitable<void> look_at_files(UploadBatchPtr work);
  awaitable<bool> look_for_run(UploadBatchPtr work);
  bool is_surely_there(const ContainerName& run) const;
  awaitable<bool> sign_files(UploadBatchPtr work, std::vector<std::size_t> which);
  awaitable<void> send_all(UploadBatchPtr work);
  awaitable<void> send_next(UploadBatchPtr work);
  awaitable<void> send_in_turns(UploadBatchPtr work, std::size_t index);
  awaitable<void> send_file(UploadBatchPtr work, std::size_t index);
  void tell_progress(ActiveUpload& active);
  void tell_upload(const char* type, std::string message, const ActiveUpload& upload, std::uint64_t bytes);
  void tell_uploaded(std::string message, ActiveUpload upload);
  awaitable<server::UploadOutcome> send_once(UploadBatchPtr work, std::size_t index);
  awaitable<void> finish_file(UploadBatchPtr work, std::size_t index);
  awaitable<Result<void>> record_done(std::vector<DoneFile> files);
  awaitable<void> settle_files(UploadBatchPtr work);
  awaitable<void> record_files(UploadBatchPtr work);
  awaitable<void> assign_file(UploadBatchPtr work, std::size_t index);
  void put_off_file(UploadBatch& work, std::size_t index, const server::UploadOutcome& how);
  void tell_files(UploadBatch& work, bool ended);
  void end_files(UploadBatch& work);
  bool is_halted(const UploadBatch& work) const;
  Ledger::UploadOf upload_of(const Feed& feed, sources::Position position) const;
  server::UploadSettings upload_settings();

  // upload_intake.cpp: files that are handed in
  /// A file that was copied for a change of a request.
  struct Copy {
    std::size_t change = 0;
    FileUpload upload;
  };
  awaitable<Accepted> take(std::vector<Change> changes, Submitter by, std::vector<Copy>& copies);
  awaitable<Result<std::optional<FileUpload>>> admit(Change& change, Submitter by);
  std::filesystem::path copies_dir() const;
  server::SourceFile source_file(const FileUpload& upload, std::uint32_t asked_by) const;
  awaitable<void> delete_own_file(server::SourceFile file, std::optional<server::FileIdentity> was);

  // intake.cpp: what is handed in
  awaitable<Result<api::ChangePlace>> place_of(std::int64_t id);
  awaitable<Result<api::ChangePlace>> recorded_change(std::int64_t id, std::int64_t through,
                                                      std::optional<sources::QueueGap> gap = {});
  // gaps.cpp: what the change queue lost
  void add_problems_of_gaps(std::vector<std::string>& problems) const;
  static api::ChangePlace place_in_gap(std::int64_t id, const sources::QueueGap& gap);
  void follow_up(std::int64_t upload, std::int64_t reference);
  void version_was_made(const ModelVersionCreate& create, sources::Position position, const std::string& short_id);
  awaitable<void> learn_type(std::string workspace);
  template <class F>
  auto with_ledger(F f) -> awaitable<std::invoke_result_t<F&, Ledger&>>;

  // unseen.cpp: logs that were not found when the daemon started
  /// A log that may be there still.
  struct Unseen {
    UnsyncedLog log;
    std::string why;
  };
  static bool is_of_log(const Feed& feed);
  awaitable<void> note_waiting(FeedPtr feed);
  awaitable<void> note_all_waiting();
  struct LogsHere;
  LogsHere logs_here() const;
  awaitable<void> look_for_unsynced_logs();
  awaitable<bool> look_for_unsynced(std::vector<UnsyncedLog> known);
  awaitable<void> tell_removed(UnsyncedLog log);
  void tell_unseen(const Unseen& unseen);
  void add_unseen(std::vector<api::SourceStatus>& sources) const;

  // discards.cpp: what is thrown away of what waits
  struct Target {
    FeedPtr feed;
    std::uint64_t held;
  };
  std::vector<Target> stuck_targets(const Change& removal) const;
  Result<void> may_make_way(const Change& removal) const;
  awaitable<void> make_way(Change removal, sources::Position position, Submitter by);
  awaitable<void> make_way_for(core::MakeWay way);
  /// What of a stream of the queue is thrown away.
  struct ToDiscard {
    sources::Position before = 0;         ///< what was accepted before this
    std::optional<std::uint32_t> of_uid;  ///< up to the first that is not this user's; none: whosever
    std::string reason;
  };
  awaitable<Result<std::uint64_t>> discard(FeedPtr feed, ToDiscard what);
  struct PieceDiscarded {
    std::uint64_t count = 0;    ///< of them, those that are on record as rejected
    bool came_further = false;  ///< else nothing waits any more
  };
  awaitable<Result<PieceDiscarded>> discard_piece(FeedPtr feed, ToDiscard what);
  awaitable<Result<std::vector<sources::QueuedChange>>> first_waiting(FeedPtr feed, ToDiscard what);
  std::vector<FeedPtr> waiting_in(const DiscardRequest& request) const;
  static bool means(const DiscardRequest& request, const ContainerName& container);
  std::vector<FinishedSource> lost_in(const DiscardRequest& request) const;
  struct Aside {
    std::uint64_t count = 0;
    std::string problem;
  };
  Aside aside_in(const DiscardRequest& request) const;
  std::optional<Error> nothing_known(const DiscardRequest& request) const;
  awaitable<Result<std::uint64_t>> give_up_lost(DiscardRequest request);
  static bool is_passed(const Feed& feed);
  bool writes_stay(const Feed& passed) const;
  FeedPtr lane_of(const Feed& feed, sources::Lane lane) const;

  // a full disk (engine.cpp)
  void note_disk_full(bool full);
  awaitable<void> give_back_reserve();
  awaitable<void> look_for_room();

  // alarms (engine.cpp)
  struct Alarm {
    enum class Of : std::uint8_t { release, tidy, retry, tend, room } of;
    sources::SourceKey key;  ///< of `room`: none
    auto operator<=>(const Alarm&) const = default;
  };
  awaitable<void> run_clock();
  void rearm();
  void ring(const Alarm& alarm);

  // replay.cpp: rejected changes that are tried again
  void open_replay(const ContainerName& container);
  FeedPtr uploading_again(std::int64_t rejection) const;

  // status.cpp: how all stands
  /// Since when the first change of a project waits, if one does: of each that has a stream.
  using Oldest = std::map<ProjectName, std::optional<WallTime>>;
  std::vector<std::string> problems() const;
  void add_probes_of_projects(Metrics& metrics) const;
  std::string lack_of_room(const sources::ChangeQueue::Totals& queue) const;
  void add_problems_of_servers(std::vector<std::string>& problems) const;
  std::vector<Closed> closed(const Scope& scope) const;
  bool token_is_missing(core::ServerId id) const;
  std::string last_error(core::ServerId id) const;
  std::map<core::ServerId, std::chrono::seconds> silent_servers() const;
  std::vector<api::Stuck> stuck() const;
  using Tallies = std::map<ProjectName, core::Tally>;
  core::Tally tally_aside(const Feed& feed) const;
  Tallies beside_the_core() const;
  void fill(api::ScopeStatus& status, const Scope& scope, const Tallies& beside) const;
  void fill_mode(api::ScopeStatus& status, const Scope& scope) const;
  /// Workspaces and projects of which anything was found or handed in, or that have a token; sorted.
  std::vector<std::string> known_scopes() const;
  std::string if_unknown(const Scope& scope, const std::string& text) const;
  api::ScopeReply scope_reply(const Scope& scope, std::string message) const;
  std::string still_closed(const Scope& scope) const;
  api::ServerStatus describe_server() const;
  std::vector<api::WorkspaceStatus> describe_workspaces(Oldest oldest, const Tallies& beside) const;
  api::Totals totals(const Oldest& oldest, const Tallies& beside) const;

  // source_views.cpp
  std::vector<api::SourceStatus> sources_found() const;
  Oldest add_feeds(std::vector<api::SourceStatus>& sources) const;
  void add_lost(std::vector<api::SourceStatus>& sources) const;
  void add_folders(std::vector<api::SourceStatus>& sources) const;
  api::SourceStatus describe_source(const Feed& feed) const;
  void tell_state(api::SourceStatus& source, const Feed& feed) const;
  static bool is_one_of_many(const Feed& feed);
  static api::SourceStatus queue_of(const ProjectName& project);
  void add_queued(api::SourceStatus& source, const Feed& feed) const;
  std::uint64_t files_waiting(const Feed& feed) const;
  bool counted(const Feed& feed) const;

  // moved.cpp
  static void tell_moved(api::Stream& stream, const Moved& moved);
  static Moved moved_of(const Feed& feed);
  void add_moved_of_queue(std::vector<api::Stream>& list,
                          const std::function<bool(const ContainerName&)>& matches) const;
  void note_moved_from(const FeedPtr& feed);
  void each_moved(const std::function<void(const ProjectName&, const Moved&)>& f) const;
  std::vector<api::MovedAway> moved_lately() const;

  // stream_views.cpp
  api::Stream describe(const Feed& feed) const;
  api::Stream describe(const FinishedSource& finished) const;
  void tell_removed_run(api::Stream& stream, const ContainerName& container) const;
  void tell_open(api::Stream& stream, const Feed& feed) const;
  void tell_not_open(api::Stream& stream, const Feed& feed) const;
  bool is_lost(const FinishedSource& finished) const;
  static FinishedSource end_of(const Feed& feed, WallTime now);
  std::optional<std::chrono::seconds> unanswered(const Feed& feed) const;
  static bool every_upload(const ActiveUpload&) { return true; }
  static api::Upload describe_upload(const ActiveUpload& active, Instant now);
  std::vector<api::Upload> uploads(const std::function<bool(const ActiveUpload&)>& wanted) const;
  std::string why(const Feed& feed, const core::StreamView& view) const;
  std::string rfc3339(Instant at) const;

  boost::asio::any_io_executor executor_;
  const Clock& clock_;
  EngineOptions options_;
  StateDir& state_dir_;
  std::unique_ptr<Ledger> ledger_;
  WorkerPool ledger_thread_{1};
  core::Core core_;
  EventLog events_;
  TaskGroup tasks_;
  boost::asio::steady_timer clock_timer_;
  boost::asio::steady_timer all_handed_in_;  // cancelled when nothing is being sent any more
  core::Timers<Alarm> alarms_;

  struct ServerState {
    ServerSlot slot;
    bool runs_by_call = false;
    Instant asked_for_ingestion{};
    std::shared_ptr<std::size_t> most_operations = std::make_shared<std::size_t>(limits::attribute_operations);
    core::ServerChanged::State state = core::ServerChanged::State::up;
    std::optional<WallTime> last_success;
    std::string last_error;        // empty when the last call went well
    std::string token_problem;     // why the token that was read last is not used, while one from before is
    std::string settings_problem;  // why what else was read last is not
  };
  std::vector<ServerState> servers_;
  std::map<std::string, core::ServerId> workspace_servers_;
  std::uint32_t searches_for_refused_ = 0;  // particulars.cpp: under way

  sources::RunLogs* run_logs_ = nullptr;
  sources::ClientDirs* client_dirs_ = nullptr;
  sources::ChangeQueue* queue_ = nullptr;
  std::string refused_configuration_;
  Error queue_problem_{"not_available", "this daemon has no change queue"};        // while it has none
  std::map<std::string, std::optional<std::chrono::milliseconds>> cleanup_after_;  // watch path → when

  std::function<void()> changed_;
  std::map<sources::SourceKey, FeedPtr> feeds_;
  std::map<core::StreamId, FeedPtr> streams_;
  std::vector<std::weak_ptr<Feed>> moved_from_;  // something left them for another machine
  std::set<FeedPtr> aside_;  // set aside with what waits in them, which the core does not know of meanwhile
  /// What was accepted, and is not told to the core yet: of each project that has any.
  struct Untold {
    std::uint64_t writes = 0, frees = 0, bytes = 0;
  };
  std::map<ProjectName, Untold> untold_;
  sources::Position accepted_from_ = 0;  // the first change of the queue that this process accepted; 0: none yet
  std::map<ContainerName, std::set<sources::SourceKey>> expecting_;  // of the queue: to be looked into (expect_more)
  std::multiset<sources::SourceKey> calls_out_;  // of these a call is on its way, also of a stream that was closed
  std::multiset<sources::SourceKey> leaving_;    // files that are gone, and not all that is known of them is on record
  std::deque<FinishedSource> finished_;          // newest last
  std::vector<Unseen> unseen_;
  std::map<std::pair<ProjectName, std::string>, RemovedRun> removed_;  // the ledger's
  std::map<ProjectName, ProjectCounts> counts_;
  std::map<Scope, KeptMode> modes_;
  std::map<std::string, WorkspaceStatus> workspace_status_;  // the last the status call told
  WorkspaceTypes workspace_types_;
  std::set<std::string> learning_types_;    // being asked for
  std::set<sources::Position> making_way_;  // removals that what is in their way is being thrown away for
  core::StreamId last_stream_ = 0;
  std::deque<FeedPtr> to_open_;          // of the change queue
  std::size_t opening_ = 0;              // how many coroutines open them
  std::set<core::StreamId> being_sent_;  // their batches are read, or out
  WallTime started_;
  bool draining_ = false;
  unsigned scans_done_ = 0;  // first ones, of run logs and of client directories
  bool scanned_ = false;
  SearchLag search_lag_{clock_.now()};
  bool disk_full_;                            // until the reserve is whole again
  bool reserve_is_out_ = disk_full_;          // the same, as the ledger's thread has it
  std::set<sources::SourceKey> settling_in_;  // found, but not yet streams, or not known to be left alone
  Metrics metrics_;
  Rate rate_;  // of what was confirmed lately
  UploadSlots upload_slots_;
  std::shared_ptr<Bandwidth> bandwidth_;
  WorkerPool file_threads_{2};                            // files that are sent are read here
  WorkerPool copy_thread_{1};                             // and copied here, one after the other
  std::map<std::uint64_t, ActiveUpload> active_uploads_;  // by when they began
  std::uint64_t uploads_begun_ = 0;
  Together<DoneFile> files_done_{executor_,
                                 [this](std::vector<DoneFile> files) { return record_done(std::move(files)); }};
  std::map<std::int64_t, std::int64_t>
      follow_ups_;  // a run.upload → the change that assigns its file, not known as done
  std::map<sources::Position, std::string> versions_made_;  // a create of a version → what the server calls that
};

/// One source, and the stream it is read as. There may be ten thousands: what few of them have at a time is kept apart.
struct Engine::Feed {
  sources::SourceInfo info;
  std::shared_ptr<sources::Source> source;
  /// Of rejected changes that are tried again, the ledger itself being the source: the rejection of position n is [n -
  /// 1].
  std::shared_ptr<std::vector<std::int64_t>> replayed;
  core::StreamId stream = 0;  ///< 0: none is open
  std::int64_t ledger_id = 0;
  sources::Position confirmed = 0;  ///< as the core has it; the ledger follows
  sources::Position recorded = 0;   ///< as the ledger has it; the source's rows follow
  sources::Position taken_out = 0;
  sources::Position noted = 0;                       ///< as LedgerSource::waiting
  std::uint64_t synced = 0, rejected = 0, kept = 0;  ///< as LedgerSource
  /// When it was first seen that a call from this change on has no answer.
  std::shared_ptr<std::map<sources::Position, Instant>> unclear_since{};  ///< none before its first call
  std::optional<WallTime> synced_at;
  Moved moved;  ///< as LedgerSource
  sources::Backlog backlog;
  Rare<Error> problem;                  ///< found by reading it; `info.problem` is what the watcher found
  std::vector<sources::Growth> untold;  ///< not among what waits in it as the core knows it (yet)
  /// What waits in it could not be counted the last time.
  struct Unread {
    std::string why;
    unsigned times = 1;  ///< in a row
  };
  Rare<Unread> unread;
  bool opening = false;            ///< being looked up in the ledger
  bool gone = false;               ///< its file is gone
  bool unwatched = false;          ///< gone for us only: what is on record of it stays
  bool uncounted = false;          ///< it was never read as far as it went, and cannot be now
  std::uint64_t unread_count = 0;  ///< of one that cannot be read any more: what waited in it when it could
  Lost lost{};                     ///< when it went
  bool finished = false;           ///< its end is on record
  bool released = false;           ///< let go of since it came to rest
  bool tidying = false;            ///< an alarm to remove it is set
  bool told_synced = false;        ///< that it is at rest was told
  bool discarding = false;         ///< what waits is being recorded as rejected

  FeedPtr files;            ///< of a run log: the files it asks for, once there are any
  std::weak_ptr<Feed> log;  ///< of such files: their run log
  /// Of a directory of the 1.x client.
  struct OfClient {
    std::string server_id;                     ///< the run it was registered as
    std::string unknown;                       ///< why its container is not known yet
    bool told_lost = false;                    ///< that its client lost operations was told
    std::optional<Instant> rename_not_before;  ///< it was still in use, or could not be renamed
    std::string not_renamed;                   ///< why it could not be, the last time
    unsigned not_renamed_times = 0;            ///< in a row
  };
  std::unique_ptr<OfClient> client;
  /// Of a file that did not get through: what came in its way since it got further the last time, and how far that was.
  struct Tries {
    std::uint32_t count = 0, signings = 0, beginnings = 0;
    std::uint64_t done = 0, others = 0;
  };
  /// Of a stream of files, from its first batch on.
  struct OfFiles {
    std::weak_ptr<UploadBatch> under_way;
    std::map<sources::Position, Tries> tries;
    std::set<sources::Position> told;          ///< as uploaded, of those whose batch is not through
    std::uint64_t sent = 0;                    ///< since it was opened
    std::optional<Instant> run_missing_since;  ///< when the server was first found to have no such run
  };
  std::unique_ptr<OfFiles> uploading;
  /// A request with one change, of which more is to be known than its check says.
  struct LookedInto {
    std::string request_id;
    std::optional<RequestStatus> found{};  ///< none while it is being found out
  };
  Rare<LookedInto> looked_into;
  std::vector<std::string> refused_before;  ///< values of the last such update: the next is asked about these first
  /// The create that was handed in last, and whether the server may have it from an earlier try.
  sources::Position create_tried = 0;
  bool create_may_be_ours = false;

  // Work for the tending coroutine.
  bool tended = false;
  bool create_passes = false;
  bool refresh_wanted = false;
  bool look_due = false;  ///< it is looked at again though no write is told
  bool echoed = false;    ///< since it was last written to, our own last look was taken for a write
  std::size_t looks = 0;  ///< since then
  Rare<core::Send> send;
  Rare<core::StepAside> aside;
  std::list<core::Outcome> outcomes;
  std::optional<Instant> taken_up_at;  ///< the batch that is out
  std::optional<Instant> last_looked;  ///< a write told right after is our own opening and closing of the log
  std::optional<Instant> looked_from;  ///< when that look began
  bool take_out_wanted = false;
  bool take_out_again = false;  ///< it failed, and may succeed with the next alarm
  bool release_wanted = false;
};

}  // namespace neptune::engine

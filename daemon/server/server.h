#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "changes/attributes.h"
#include "changes/client_operation.h"
#include "changes/failure.h"
#include "changes/management.h"
#include "changes/names.h"
#include "server/uploads.h"
#include "support/clock.h"
#include "support/error.h"

/// What a Neptune server offers, one class a server and token. Wire details: docs/protocol.md.
///
/// Operation: each call authenticates by itself (exchange, refresh, renewal on 401), takes a connection from the pool,
/// and has a deadline. No call retries on its own beyond that: what to do next is the core's decision.
///
/// A streamed body cannot be sent twice. Its token is made fresh before it is sent; should the server answer 401 all
/// the same, the token is renewed and the call ends as Failure::busy with the code "token_renewed" and a retry_after of
/// 0: send again at once. A rejected API token is remembered for five minutes: calls fail at once, without a word to
/// the server, until `set_token`.
///
/// Names become the server's ids by look-ups, the last 4096 of which are remembered. Where a remembered id is answered
/// with 404, it is looked up and the call sent again, once.
///
/// Cancellation (terminal) ends a call by an exception, system_error of operation_aborted. A call may outlive the
/// Server.
///
/// Concurrency: one executor, one thread.
namespace neptune::server {

struct Options {
  std::string api_token;                               ///< the token's text; never logged
  std::string ca_file;                                 ///< extra CA certificates (PEM); empty: the system's only
  bool insecure = false;                               ///< do not verify certificates
  std::string proxy;                                   ///< http://host:port; empty: HTTPS_PROXY / HTTP_PROXY / NO_PROXY
  std::chrono::milliseconds request_timeout{60000};    ///< without progress
  std::chrono::milliseconds diagnosis_timeout{10000};  ///< the same of each step of `diagnose`, if that is shorter
  std::string user_agent;
  std::size_t max_connections = 8;
};

enum class SeriesKind : std::uint8_t { floats, texts, images };

using neptune::Answer;
using neptune::CodeCount;
using neptune::Failure;
using neptune::RequestStatus;
using neptune::WorkspaceStatus;

/// Asked right before the first byte of a write goes out, after it waited for a token and a connection: whether it may
/// still begin. Where not, the call ends as Failure::called_off. Empty: it may. Of a call with several requests, each
/// that writes asks.
using MayBegin = std::function<bool()>;

/// A request body of known length, streamed. `next` returns a view valid until the following call, empty at the end; it
/// is called until it says so. A body of another length never arrives whole: Failure::source.
struct Body {
  std::string head;                                                        ///< sent first
  std::uint64_t stream_bytes = 0;                                          ///< exactly what `next` will deliver
  std::function<boost::asio::awaitable<Result<std::string_view>>()> next;  ///< empty: `head` is all
  MayBegin may_begin{};
};

/// What a management call made.
struct ManageReply {
  std::string id{};        ///< UUID of the project, model or version that was created; else empty
  std::string short_id{};  ///< "LAB-FOREST-3": of a model or version; else empty
};

/// An attribute operation that the server refused, while the others of its request were stored.
struct OperationError {
  /// Among the operations of the request. None where the server's words fit several of them: it does not number them.
  std::optional<std::size_t> index{};
  std::string code;     ///< "metadata_inconsistency"
  std::string message;  ///< the server's words
  /// Without an index, those that the words fit; empty: they name none, so that it may be any that no other error has.
  std::vector<std::size_t> may_be{};
};

/// A point as a series holds it.
struct StoredPoint {
  double step = 0;
  std::variant<double, std::string> value{};  ///< a text may be cut
};

/// Steps of a series, both ends included.
struct StepRange {
  double from = 0, upto = 0;
};

/// Failure::code of a request with more operations than the server takes.
inline constexpr std::string_view too_many_operations = "TOO_MANY_OPERATIONS";

using neptune::WorkspaceType;

/// For listings.
struct ProjectFacts {
  ProjectName name;
  std::string id, key, description, visibility;  ///< visibility: priv, workspace, pub
  bool archived = false;
};
struct MemberFacts {
  std::string name;
  std::string role;  ///< viewer, member, manager
  bool service_account = false;
};

/// One step of the way to the server, as `diagnose` went it.
struct Step {
  enum class At : std::uint8_t { name, connection, certificate_name, encryption, answer, clock, token } at;
  enum class State : std::uint8_t { fine, poor, failed } state;
  std::string message;  ///< what was found: no sentence, it begins in lower case
};

/// Failure::code of Missing::not_yet.
inline constexpr std::string_view runs_not_found = "runs_not_found";

/// Runs to be changed that are not there: the server's search may lag behind, an earlier try may have deleted them, or
/// they never were.
enum class Missing : std::uint8_t {
  not_yet,  ///< nothing is done: runs_not_found
  refused,  ///< the others are done, these are refused by name
  fine,     ///< as `refused`, but those that were to be trashed or deleted are done
};

/// The address of the server that an API token names. Errors say what is wrong with the token, and repeat nothing of
/// it.
Result<std::string> server_named_by(std::string_view api_token);

class Server {
 public:
  /// Fails when the token, the CA file or the proxy cannot be understood.
  static Result<std::unique_ptr<Server>> make(boost::asio::any_io_executor executor, const Clock& clock,
                                              Options options);
  ~Server();

  /// Base URL, without credentials: what people are shown.
  const std::string& url() const;

  /// Hands in one RunOperation; the id to check it by.
  boost::asio::awaitable<Answer<std::string>> submit(Body body);

  /// One status an id, same order. At most limits::check_ids.
  boost::asio::awaitable<Answer<std::vector<RequestStatus>>> check(ProjectName project, std::vector<std::string> ids);

  /// The workspace's mode. `Failure::rejected`/`forbidden` when the server does not offer the call.
  boost::asio::awaitable<Answer<WorkspaceStatus>> workspace_status(std::string workspace);

  /// Makes one management change. Safe to repeat but for a model version, and so it may be tried again after a failure:
  /// what is already so (a create that finds an equal project, a project that is gone, a run that is in the trash)
  /// is a success; a create that finds something else is refused with what differs, but a member or an invitation that
  /// is there with another role gets the new one. Where some runs of several were refused, the rest was done and the
  /// failure names those.
  /// A model version that may have been created, and runs that may have been changed, all the same: Failure::in_doubt.
  /// Runs are found by the server's search, which may lag behind: `missing` says what is meant by those it does not
  /// find, by custom id or as a short id. A custom id goes before a short id that reads the same.
  boost::asio::awaitable<Answer<ManageReply>> manage(Management change, MayBegin may_begin = {},
                                                     Missing missing = Missing::refused);

  /// Applies attribute operations in one request of at most limits::attribute_operations and limits::request_bytes;
  /// which of them the server refused. The others are stored. Points of series are applied twice when it is repeated:
  /// after a failure with `in_doubt`, ask `points`. Failure::too_large ("TOO_MANY_OPERATIONS", or bytes): nothing was
  /// applied, send fewer.
  boost::asio::awaitable<Answer<std::vector<OperationError>>> execute(Addressed container,
                                                                      std::vector<AttributeOperation> operations,
                                                                      MayBegin may_begin = {});

  /// Last step of a float series, or of a string series (`text`). None: there is no such attribute, or no point in it.
  boost::asio::awaitable<Answer<std::optional<double>>> last_step(Addressed container, std::string path, bool text);

  /// What a float series, or a string series (`text`), holds of these steps, in their order; some before and after them
  /// may be among it. Empty: there is no such attribute, or it is something else.
  boost::asio::awaitable<Answer<std::vector<StoredPoint>>> points(Addressed container, std::string path, bool text,
                                                                  StepRange range);

  /// Whether the container has an attribute with this path, of whatever type.
  boost::asio::awaitable<Answer<bool>> has_attribute(Addressed container, std::string path);

  /// What the container with the server's own id is called. No such container of that kind: "container_not_found".
  boost::asio::awaitable<Answer<ContainerName>> container(ContainerKind kind, std::string id);

  /// Whether there is a run of this id, also in the trash; asked anew each time. The search for it lags behind what is
  /// written by a moment.
  boost::asio::awaitable<Answer<bool>> has_run(ContainerName run);

  /// The server's own id of a container. "run_not_found" and its like.
  boost::asio::awaitable<Answer<std::string>> id_of(ContainerName container);

  /// An attribute's value, for assignment_of_copy: the JSON that the server answers. None: there is no such attribute.
  boost::asio::awaitable<Answer<std::optional<std::string>>> attribute(Addressed container, std::string path,
                                                                       ClientCopy::Type type);

  /// The number of a model's newest version, in the trash or outside; 0: it has none.
  boost::asio::awaitable<Answer<std::int64_t>> last_version(ContainerName model);

  /// A text; none where there is no such attribute.
  boost::asio::awaitable<Answer<std::optional<std::string>>> string_value(Addressed container, std::string path);

  /// How many points a series holds; 0 when there is no such attribute.
  boost::asio::awaitable<Answer<std::int64_t>> point_count(Addressed container, std::string path, SeriesKind kind);

  /// Whether the server takes runs by ingestion. Asked once; what `submit` finds out counts too.
  boost::asio::awaitable<Answer<bool>> has_ingest();

  /// Creates a run by its custom id, of at most limits::custom_id_characters, on a server without ingestion.
  /// `experiment` becomes its name, as ingestion does it; empty: none. Safe to repeat.
  boost::asio::awaitable<Answer<ManageReply>> create_run(ContainerName run, std::string experiment,
                                                         MayBegin may_begin = {});

  /// Whose workspace it is. Kept for an hour; `unknown` where the server does not say, kept for five minutes.
  boost::asio::awaitable<Answer<WorkspaceType>> workspace_type(std::string workspace);

  /// The workspace's projects, archived ones too, by name. At most 10,000.
  boost::asio::awaitable<Answer<std::vector<ProjectFacts>>> projects(std::string workspace);

  /// People and service accounts of a project.
  boost::asio::awaitable<Answer<std::vector<MemberFacts>>> members(ProjectName project);

  /// Signed URLs to write to, one a file, same order. At most upload_limits::sign_batch files, of any projects.
  /// Failure::read_only and all others as with other writes.
  boost::asio::awaitable<Answer<std::vector<SignedFile>>> sign_uploads(std::vector<FileToSign> files);

  /// Sends one file to its object store: goes on where its progress says it was, and begins else. Never retries by
  /// itself. Each piece has its deadline (Options::request_timeout without progress), the file has none.
  boost::asio::awaitable<UploadOutcome> upload(Upload upload, UploadSettings settings);

  /// Sends an attribute's file or files to a 1.x container: in one request, in parts that progress is kept of, or as an
  /// archive. Safe to repeat: the attribute is set once more. Outcomes are never `expired`.
  boost::asio::awaitable<UploadOutcome> upload_attribute(AttributeUpload upload, UploadSettings settings);

  /// Goes the way to the server anew, up to the first step that fails; the last one is whether it takes the API token.
  /// Each step has its deadline (Options::diagnosis_timeout), and connections of its own: those of other calls, which
  /// may hang, are neither waited for nor closed.
  boost::asio::awaitable<std::vector<Step>> diagnose();

  /// Whether it answers and takes the API token, asked anew as `diagnose` does.
  boost::asio::awaitable<Answer<void>> answers();

  /// The token file was replaced.
  Result<void> set_token(std::string api_token);

  /// Closes idle connections. Calls in progress must have been cancelled by their callers.
  void close();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::server

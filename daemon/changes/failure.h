#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/ingest_code.h"

namespace neptune {

/// How a call to the server ended that did not succeed, as the retry policy sees it.
struct Failure {
  enum class Kind : std::uint8_t {
    unreachable,      ///< no answer at all: DNS, connect, TLS, timeout, connection lost. The request may have arrived.
    busy,             ///< 408, 429, 502, 503, 504: the server as a whole wants a pause
    server_error,     ///< other 5xx, or an answer that makes no sense: this request may be at fault
    token_rejected,   ///< the API token is refused: final until it is replaced
    forbidden,        ///< 403 without a read-only errorType: no permission for this project
    read_only,        ///< a signal of docs/protocol.md "Read-only mode"; `scope_is_project` tells which scope
    ambiguous_limit,  ///< 422 without an errorType: ask the status call before believing either
    too_large,        ///< 413
    rejected,         ///< any other 4xx
    source,           ///< the body could not be read from its source; the server is not to blame
    called_off,       ///< its caller did not let it begin any more (server::MayBegin); nothing was sent
  };
  Kind kind;
  std::string code;     ///< the server's errorType, else "http_404", else ours ("tls_verification_failed")
  std::string message;  ///< a sentence for people, with the server's own words where it gave some
  std::optional<std::chrono::milliseconds> retry_after;
  bool scope_is_project = false;
  int status = 0;         ///< HTTP status of the answer; 0: there was none
  bool in_doubt = false;  ///< of a call that must not be applied twice: it may have taken effect all the same
  std::string words{};    ///< the server's own part of `message`; empty when it gave none
};

/// A client error that speaks of the way to the server rather than of the change.
inline bool speaks_of_the_route(const Failure& failure) {
  static constexpr std::array<std::string_view, 11> routes{"http_404", "http_405", "http_407", "http_410",
                                                           "http_411", "http_414", "http_421", "http_426",
                                                           "http_428", "http_431", "http_451"};
  return std::ranges::find(routes, failure.code) != routes.end();
}

/// The server is well, and answered: it does not take this change.
inline bool speaks_of_the_change(const Failure& failure) {
  using Kind = Failure::Kind;
  if (failure.kind == Kind::rejected || failure.kind == Kind::too_large) return !speaks_of_the_route(failure);
  return failure.kind == Kind::forbidden;
}

/// There is no such container (yet). Ours: whoever looked it up says so.
inline bool says_missing(const Failure& failure) {
  static constexpr std::array<std::string_view, 4> codes{"run_not_found", "project_not_found", "model_not_found",
                                                         "model_version_not_found"};
  return std::ranges::find(codes, failure.code) != codes.end();
}

inline Failure called_off() {
  return {Failure::Kind::called_off, "called_off", "it was not sent: by then its scope took no writes any more",
          std::nullopt};
}

template <class T>
using Answer = std::expected<T, Failure>;

struct CodeCount {
  std::int32_t code;  ///< google.rpc.Code; 0 OK, 14 not processed yet
  std::int64_t count;
  IngestCode detail;
};

/// The check's word on one request. `pending` when it is not processed yet.
struct RequestStatus {
  bool pending = false;
  std::vector<CodeCount> counts;
  std::string message;
  std::string refused_part{};  ///< core::Refusal::part, where the request was one change and was refused in part
  /// Why a change that the server calls a duplicate is refused all the same; an empty code: it is not.
  std::string differs_code{}, differs_reason{};
};

/// A workspace's mode and what it has left, by the server's status call.
struct WorkspaceStatus {
  bool read_only = false;
  std::optional<std::int64_t> storage_limit, storage_available, active_projects;
  std::optional<std::int64_t> monitoring_seconds_available;
  std::string subscription;  ///< the server's word, empty when absent
};

}  // namespace neptune

#pragma once

#include <expected>
#include <string>
#include <utility>

namespace neptune {

/// What went wrong, for a program (`code`), for a person (`message`) and for the retry policy (`retryable`).
struct Error {
  std::string code;        ///< snake_case and stable: tools match on it ("token_file_readable_by_others")
  std::string message;     ///< one sentence: what happened, to what, and what to do about it
  bool retryable = false;  ///< the same call may succeed later, with nothing changed by a person
};

/// The one error style: whatever can fail in the ordinary course returns a Result.
template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string code, std::string message, bool retryable = false) {
  return std::unexpected(Error{std::move(code), std::move(message), retryable});
}

}  // namespace neptune

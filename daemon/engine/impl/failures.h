#pragma once

#include <string>
#include <utility>

#include "changes/failure.h"
#include "support/error.h"

/// Failures that are ours and not the server's.
namespace neptune::engine {

inline Failure source_failure(std::string code, std::string message) {
  return {Failure::Kind::source, std::move(code), std::move(message), std::nullopt, false};
}

inline Failure source_failure(Error error) {
  return source_failure(std::move(error.code), std::move(error.message));
}

template <class T>
Answer<T> no_server(const Error& problem) {
  return std::unexpected(Failure{Failure::Kind::token_rejected, problem.code, problem.message, std::nullopt, false});
}

/// Null when the call went well.
template <class T>
const Failure* failure_of(const Answer<T>& answer) {
  return answer ? nullptr : &answer.error();
}

}  // namespace neptune::engine

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/cli/values.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"

namespace neptune::cli {

/// What every verb that hands in changes can be told besides.
struct HandIn {
  bool wait = false;
  std::optional<std::string> timeout;
  std::optional<std::string> idempotency_key;
  std::uint64_t copies = 0;  ///< bytes that the daemon copies before it answers

  void add_to(Verb& verb);
  void add_wait_to(Verb& verb);  ///< without a key: for bodies that bring their own
};

/// $NEPTUNE_PROJECT, where it is set.
std::optional<std::string> project_at_hand();

/// Adds --project, which is $NEPTUNE_PROJECT when it is not given.
void add_project(Verb& verb, std::string& project);
/// The project; ends with a usage error when none was named.
const std::string& named_project(const std::string& project);

/// Hands one change in and says so; with --wait, waits for it and for nothing else. `run`: whose change it is, for
/// people.
void hand_in(Session& session, const HandIn& how, ChangeText change, const std::string& project,
             const std::optional<std::string>& run = std::nullopt);

/// The same with one of a workspace.
void hand_in_to_workspace(Session& session, const HandIn& how, ChangeText change, const std::string& workspace);

/// The same with a body of changes as it is; `project` is of those that name none.
void hand_in_body(Session& session, const HandIn& how, const std::string& body, const std::string& project);

/// The value, or a wrong usage of `argument`.
template <class T>
T or_wrong_usage(const std::string& argument, Result<T> value) {
  if (!value) wrong_usage(argument, value.error().message);
  return std::move(*value);
}

/// A step as JSON; a wrong usage of `option` when it is none.
std::optional<std::string> step_json(const std::optional<std::string>& step, const std::string& option = "--step");

}  // namespace neptune::cli

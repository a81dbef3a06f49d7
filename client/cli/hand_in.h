#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "client/cli/values.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"

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

/// For verbs that take away for good: on a terminal, somebody is asked first; a script, which has none, is not.
struct Sure {
  bool yes = false;

  void add_to(Verb& verb);  ///< --yes
  /// `what` it does, as in "Delete the project ml-team/lab, with all that is in it"; false, and said so, when that is
  /// not what was meant.
  bool ask(Session& session, const std::string& what) const;
};

/// $NEPTUNE_PROJECT, where it is set.
std::optional<std::string> project_at_hand();

/// Adds --project, which is $NEPTUNE_PROJECT when it is not given.
void add_project(Verb& verb, std::string& project);
/// The project; ends with a usage error when none was named.
const std::string& named_project(const std::string& project);

/// The same, or as an argument behind the verb.
struct Project {
  std::string name;
  std::optional<std::string> argument{};

  void add_to(Verb& verb);
  std::string named() const;  ///< ends with a usage error when none was named, or two
};

/// Hands one change in and says so; with --wait, waits for it and for nothing else. `run`: whose change it is, for
/// people.
void hand_in(Session& session, const HandIn& how, ChangeText change, const std::string& project,
             const std::optional<std::string>& run = std::nullopt);

/// The same with one of a workspace.
void hand_in_to_workspace(Session& session, const HandIn& how, ChangeText change, const std::string& workspace);

/// What one call of the command hands in, with one request or several: its --timeout is for all of it.
class Handing {
 public:
  Handing(Session& session, const HandIn& how);

  Result<client::Reply<api::SubmitReply>> submit(std::string_view body, const client::Submission& with) const;
  /// What was accepted, in words. To whom reads it: how to wait, where this does not.
  std::string told(const Accepted& accepted, const std::optional<std::string>& run = std::nullopt) const;
  /// With --wait, until it is dealt with.
  void wait(const client::Ids& changes) const;

 private:
  using Clock = std::chrono::steady_clock;

  Session& session_;
  bool wait_;
  std::optional<std::chrono::milliseconds> timeout_;
  Clock::time_point begin_ = Clock::now();
};

/// The value, or a wrong usage of `argument`; of none where the error says itself which.
template <class T>
T or_wrong_usage(const std::string& argument, Result<T> value) {
  if (!value) wrong_usage(argument, value.error().message);
  return std::move(*value);
}

/// A step as JSON; a wrong usage of `option` when it is none.
std::optional<std::string> step_json(const std::optional<std::string>& step, const std::string& option = "--step");

}  // namespace neptune::cli

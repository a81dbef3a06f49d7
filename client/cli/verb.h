#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace neptune::cli {

/// One verb of the command line, for those who add verbs: what they say of its arguments. Only verb.cpp knows the
/// parser behind it, which is slow to compile. "PROJECT" is positional, "--role ROLE" is an option, whose value is
/// called ROLE in its help (TEXT where nothing is said). What arguments are written to must live as long as the parser:
/// keep it in the state a verb's action holds.
class Verb {
 public:
  explicit Verb(CLI::App& app) : app_(&app) {}

  /// A verb below this one. A verb that has some does nothing by itself: one of them is to be given.
  Verb add(const std::string& name, const std::string& description);
  /// What those that are added from here on are listed under.
  void group(const std::string& title) { group_ = title; }

  /// An empty value is a wrong usage, but of an optional TEXT.
  void required(const std::string& name, std::string& to, const std::string& description);
  void optional(const std::string& name, std::optional<std::string>& to, const std::string& description);
  void optional(const std::string& name, std::optional<std::uint64_t>& to, const std::string& description);
  /// What `to` holds before is the default; a number outside of `least` to `most` is a wrong usage.
  void number(const std::string& name, std::int64_t& to, std::int64_t least, std::int64_t most,
              const std::string& description);
  void positive(const std::string& name, std::int64_t& to, const std::string& description);
  void required_positive(const std::string& name, std::int64_t& to, const std::string& description);
  /// Each may be given several times, with one value each; a positional one takes all that is left.
  void several(const std::string& name, std::vector<std::string>& to, const std::string& description);
  void at_least_one(const std::string& name, std::vector<std::string>& to, const std::string& description);
  void flag(const std::string& name, bool& to, const std::string& description);
  /// Taken from the environment's `variable` where it is not given.
  void from_environment(const std::string& name, std::string& to, const std::string& variable,
                        const std::string& description);

  /// Runs when the command line was read and this verb was given.
  void action(std::function<void()> action);
  /// The same for a verb that has some below it, when none of those was given. To be called after they were added.
  void action_alone(std::function<void()> action);

 private:
  CLI::App* app_;
  std::string group_{};
};

/// Ends an action with the exit code of a wrong usage: `sentence` says what is wrong with which argument;
/// empty: with what the sentence names.
[[noreturn]] void wrong_usage(const std::string& argument, const std::string& sentence);

}  // namespace neptune::cli

#include "client/cli/verb.h"

#include <CLI/App.hpp>

namespace neptune::cli {

Verb Verb::add(const std::string& name, const std::string& description) {
  app_->require_subcommand(1);
  return Verb(*app_->add_subcommand(name, description));
}

void Verb::required(const std::string& name, std::string& to, const std::string& description) {
  app_->add_option(name, to, description)->required();
}

void Verb::optional(const std::string& name, std::optional<std::string>& to, const std::string& description) {
  const auto set = [&to](const std::string& text) { to = text; };
  app_->add_option_function<std::string>(name, set, description);
}

void Verb::optional(const std::string& name, std::optional<std::uint64_t>& to, const std::string& description) {
  app_->add_option(name, to, description);
}

void Verb::number(const std::string& name, std::int64_t& to, std::int64_t least, std::int64_t most,
                  const std::string& description) {
  app_->add_option(name, to, description)->check(CLI::Range(least, most))->capture_default_str();
}

void Verb::positive(const std::string& name, std::int64_t& to, const std::string& description) {
  app_->add_option(name, to, description)->check(CLI::PositiveNumber);
}

void Verb::required_positive(const std::string& name, std::int64_t& to, const std::string& description) {
  app_->add_option(name, to, description)->required()->check(CLI::PositiveNumber);
}

void Verb::several(const std::string& name, std::vector<std::string>& to, const std::string& description) {
  auto* option = app_->add_option(name, to, description);
  // Else it would swallow the positional ones that come after its value.
  if (name.starts_with('-')) option->allow_extra_args(false);
}

void Verb::at_least_one(const std::string& name, std::vector<std::string>& to, const std::string& description) {
  app_->add_option(name, to, description)->required();
}

void Verb::flag(const std::string& name, bool& to, const std::string& description) {
  app_->add_flag(name, to, description);
}

void Verb::from_environment(const std::string& name, std::string& to, const std::string& variable,
                            const std::string& description) {
  app_->add_option(name, to, description)->envname(variable);
}

void Verb::action(std::function<void()> action) {
  app_->callback(std::move(action));
}

void Verb::action_alone(std::function<void()> action) {
  app_->require_subcommand(0, 1);
  app_->callback([app = app_, action = std::move(action)] {
    if (app->get_subcommands().empty()) action();
  });
}

void wrong_usage(const std::string& argument, const std::string& sentence) {
  throw CLI::ValidationError(argument, sentence);
}

}  // namespace neptune::cli

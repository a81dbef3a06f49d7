#include "client/cli/verb.h"

#include <CLI/App.hpp>
#include <charconv>
#include <limits>

#include "client/cli/text.h"
#include "support/utf8.h"

namespace neptune::cli {

namespace {

template <class T>
constexpr T most_of = std::numeric_limits<T>::max();

/// "--timeout TIME" is the option --timeout, whose value is called TIME.
struct Named {
  explicit Named(const std::string& text) : name(text.substr(0, text.find(' '))) {
    if (name.size() < text.size()) value = text.substr(name.size() + 1);
  }
  CLI::Option* typed(CLI::Option* option) const { return value.empty() ? option : option->type_name(value); }

  std::string name, value;
};

template <class T>
CLI::Option* add_option(CLI::App& app, const std::string& text, T& to, const std::string& description) {
  const Named named(text);
  return named.typed(app.add_option(named.name, to, description));
}

/// Where a file is: bytes of any kind.
bool is_place(const CLI::Option& option) {
  const auto type = option.nonpositional() ? option.get_type_name() : option.get_name();
  return type == "FILE" || type == "DIR" || type == "PATH";
}

/// An empty word comes of a variable that is not set; only a text may be meant to be empty. What is not UTF-8 cannot be
/// told the daemon as it is. Looked at for the one verb that was given, as every start pays for what is told the parser
/// of all.
void refuse_unfit(const CLI::App& app) {
  for (const auto* option : app.get_options()) {
    const bool may_be_empty = option->nonpositional() && option->get_type_name() == "TEXT";
    for (const auto& word : option->results()) {
      if (word.empty() && !may_be_empty) wrong_usage(option->get_name(), "It is empty.");
      if (!is_utf8(word) && !is_place(*option))
        wrong_usage(option->get_name(), "'" + clean(word) + "' is not UTF-8; write it in that encoding.");
    }
  }
}

/// A whole number, and not too small or large: in a sentence when it is not.
CLI::Validator is_number(std::int64_t least, std::int64_t most) {
  const bool bounded = most < most_of<std::int64_t>;
  const auto limits = bounded      ? "from " + std::to_string(least) + " to " + std::to_string(most)
                      : least == 1 ? std::string("above 0")
                                   : std::string();
  const auto check = [least, most, limits](const std::string& text) -> std::string {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= least && value <= most) return {};
    return "'" + text + "' is no whole number" + (limits.empty() ? "" : " " + limits) + ".";
  };
  return CLI::Validator(check, limits);
}

}  // namespace

Verb Verb::add(const std::string& name, const std::string& description) {
  app_->require_subcommand(1);
  auto* added = app_->add_subcommand(name, description);
  if (!group_.empty()) added->group(group_);
  return Verb(*added);
}

void Verb::required(const std::string& name, std::string& to, const std::string& description) {
  add_option(*app_, name, to, description)->required();
}

void Verb::optional(const std::string& name, std::optional<std::string>& to, const std::string& description) {
  const auto set = [&to](const std::string& text) { to = text; };
  const Named named(name);
  named.typed(app_->add_option_function<std::string>(named.name, set, description));
}

void Verb::optional(const std::string& name, std::optional<std::uint64_t>& to, const std::string& description) {
  add_option(*app_, name, to, description)->check(is_number(0, most_of<std::int64_t>));
}

void Verb::number(const std::string& name, std::int64_t& to, std::int64_t least, std::int64_t most,
                  const std::string& description) {
  add_option(*app_, name, to, description)->check(is_number(least, most))->capture_default_str();
}

void Verb::positive(const std::string& name, std::int64_t& to, const std::string& description) {
  add_option(*app_, name, to, description)->check(is_number(1, most_of<std::int64_t>));
}

void Verb::required_positive(const std::string& name, std::int64_t& to, const std::string& description) {
  add_option(*app_, name, to, description)->required()->check(is_number(1, most_of<std::int64_t>));
}

void Verb::several(const std::string& name, std::vector<std::string>& to, const std::string& description) {
  auto* option = add_option(*app_, name, to, description);
  // Else it would swallow the positional ones that come after its value.
  if (name.starts_with('-')) option->allow_extra_args(false);
}

void Verb::at_least_one(const std::string& name, std::vector<std::string>& to, const std::string& description) {
  add_option(*app_, name, to, description)->required();
}

void Verb::flag(const std::string& name, bool& to, const std::string& description) {
  app_->add_flag(name, to, description);
}

void Verb::from_environment(const std::string& name, std::string& to, const std::string& variable,
                            const std::string& description) {
  add_option(*app_, name, to, description)->envname(variable);
}

void Verb::action(std::function<void()> action) {
  app_->callback([app = app_, action = std::move(action)] {
    refuse_unfit(*app);
    action();
  });
}

void Verb::action_alone(std::function<void()> action) {
  app_->require_subcommand(0, 1);
  app_->callback([app = app_, action = std::move(action)] {
    if (!app->get_subcommands().empty()) return;
    refuse_unfit(*app);
    action();
  });
}

void wrong_usage(const std::string& argument, const std::string& sentence) {
  throw argument.empty() ? CLI::ValidationError(sentence) : CLI::ValidationError(argument, sentence);
}

}  // namespace neptune::cli

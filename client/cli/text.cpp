#include "client/cli/text.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "client/lib/numbers.h"
#include "client/lib/time.h"
#include "support/sizes.h"
#include "support/utf8.h"

namespace neptune::cli {

namespace {

using SystemClock = std::chrono::system_clock;

bool set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

}  // namespace

Style style_of_output() {
  if (::isatty(STDOUT_FILENO) == 0) return {};
  return {!man::is_dumb_terminal() && !set("NO_COLOR"), man::columns_of(STDOUT_FILENO)};
}

namespace {

/// The text at the right of a bar that fills what is left of the width.
std::string with_bar(std::uint64_t percent, const std::string& text, std::size_t width) {
  constexpr std::size_t widest = 40, narrowest = 5;
  const auto room = width > columns(text) ? std::min(widest, width - columns(text)) : 0;
  if (room < narrowest) return cut(text.substr(1), width);
  const auto filled = static_cast<std::size_t>(percent) * room / 100;
  std::string bar;
  for (std::size_t i = 0; i < room; ++i) bar += i < filled ? "█" : "░";
  return bar + text;
}

/// Of nothing there is no part.
std::uint64_t percent_of(std::uint64_t done, std::uint64_t all, std::uint64_t of_nothing) {
  if (all == 0) return of_nothing;
  return static_cast<std::uint64_t>(100.0 * static_cast<double>(std::min(done, all)) / static_cast<double>(all));
}

/// "1.0 GiB of 3.0 GiB", and further what is known of rate and time.
std::string amounts(std::uint64_t done, std::uint64_t all) {
  const auto shown = [](std::uint64_t value) { return value == 0 ? "0 B" : bytes(value); };
  return shown(done) + " of " + shown(all);
}

std::string pace(std::optional<double> per_second, std::optional<double> seconds_left) {
  std::string text;
  if (per_second && *per_second >= 1) text += ", " + bytes(static_cast<std::uint64_t>(*per_second)) + "/s";
  if (seconds_left && *seconds_left < 1e9)
    text += ", " + age(std::chrono::seconds(static_cast<std::int64_t>(*seconds_left))) + " left";
  return text;
}

}  // namespace

std::string progress_bar(std::uint64_t done, std::uint64_t left, std::uint64_t held, std::size_t width) {
  const auto all = done + left;
  // All of nothing is not there yet: it may still come.
  const auto percent = percent_of(done, all, 0);
  auto text = all == 0 ? fmt::format(" {:>3} %  nothing of it is here yet", percent)
                       : fmt::format(" {:>3} %  {} of {}", percent, done == 0 ? "0" : count(done), changes(all));
  if (held > 0) text += fmt::format(", {} held", count(held));
  return with_bar(percent, text, width);
}

std::string upload_bar(const std::vector<api::Upload>& uploads, std::size_t width) {
  std::uint64_t done = 0, all = 0;
  double per_second = 0;
  for (const auto& upload : uploads) {
    done += upload.bytes_done;
    all += upload.bytes_total;
    per_second += upload.bytes_per_second.value_or(0);
  }
  std::optional<double> left;
  if (per_second >= 1) left = static_cast<double>(all - std::min(done, all)) / per_second;
  const auto percent = percent_of(done, all, 100);
  return with_bar(percent, fmt::format(" {:>3} %  {}{}", percent, amounts(done, all), pace(per_second, left)), width);
}

std::string progress_of(const api::Upload& upload) {
  const auto name = clean(upload.file.substr(upload.file.rfind('/') + 1));
  return fmt::format("{}: {} ({} %){}", name, amounts(upload.bytes_done, upload.bytes_total),
                     percent_of(upload.bytes_done, upload.bytes_total, 100),
                     pace(upload.bytes_per_second, upload.seconds_left));
}

std::string paint(const Style& style, Colour colour, std::string_view text) {
  static constexpr std::array<std::string_view, 6> codes{"", "2", "1", "31", "33", "32"};
  if (!style.colour || colour == Colour::plain || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", codes[static_cast<std::size_t>(colour)], text);
}

std::string count(std::uint64_t value) {
  return value == 0 ? "-" : api::grouped(value);
}

std::string bytes(std::uint64_t value) {
  return value == 0 ? "-" : size_text(value);
}

std::string age(SystemClock::duration duration) {
  return age_text(std::chrono::duration_cast<std::chrono::seconds>(duration));
}

std::string since(const std::optional<std::string>& time, SystemClock::time_point now) {
  const auto at = time ? api::parse_time(*time) : std::nullopt;
  return at ? age(now - *at) : "-";
}

std::string until(const std::optional<std::string>& time, SystemClock::time_point now) {
  const auto at = time ? api::parse_time(*time) : std::nullopt;
  return at ? age(*at - now) : "-";
}

std::string changes(std::uint64_t value) {
  return value == 0 ? "no changes" : count(value) + (value == 1 ? " change" : " changes");
}

std::string capital(std::string text) {
  const auto word = text.substr(0, text.find(' '));
  const bool plain = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz,;:'") == std::string::npos;
  constexpr std::array<std::string_view, 11> no_names{"it",  "there", "this",   "that",    "what",     "all",
                                                      "one", "none",  "nobody", "nothing", "something"};
  const auto rest = std::string_view(text).substr(word.size());
  const bool verb = rest.starts_with(" is ") || rest.starts_with(" has ") || rest.starts_with(" was ");
  const bool name = verb && std::ranges::find(no_names, word) == no_names.end();
  if (plain && !name && text.front() >= 'a' && text.front() <= 'z')
    text.front() = static_cast<char>(text.front() - 'a' + 'A');
  return text;
}

namespace {

/// What a terminal does something with instead of showing it: control characters; those that cannot be seen, or turn
/// the direction of what follows; other line ends.
bool is_unseen(char32_t code) {
  constexpr std::array<std::pair<char32_t, char32_t>, 13> ranges{{{0x00, 0x1F},
                                                                  {0x7F, 0x9F},
                                                                  {0xAD, 0xAD},
                                                                  {0x061C, 0x061C},
                                                                  {0x180E, 0x180E},
                                                                  {0x200B, 0x200F},
                                                                  {0x2028, 0x202E},
                                                                  {0x2060, 0x206F},
                                                                  {0xFEFF, 0xFEFF},
                                                                  {0xFFF9, 0xFFFB},
                                                                  {0x1BCA0, 0x1BCA3},
                                                                  {0x1D173, 0x1D17A},
                                                                  {0xE0000, 0xE007F}}};
  return std::ranges::any_of(ranges, [code](const auto& range) { return range.first <= code && code <= range.second; });
}

}  // namespace

std::string clean(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto one = first_utf8_character(text);
    const auto bytes = std::max<std::size_t>(one.bytes, 1);
    if (text.front() == '\n' || text.front() == '\t')
      out += ' ';
    else if (one.bytes == 0 || is_unseen(one.code))
      out += '?';
    else
      out += text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

std::string message(std::string_view text) {
  return wrap(clean(text), terminal_width(STDERR_FILENO), "neptune-sync: ", "  ");
}

std::string cut(std::string_view text, std::size_t width) {
  if (columns(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t end = 0, taken = 0;
  for (auto one = man::first_character(text); taken + one.columns < width;
       one = man::first_character(text.substr(end))) {
    taken += one.columns;
    end += one.bytes;
  }
  return std::string(text.substr(0, end)) + "…";
}

namespace {

/// Its last characters, in at most `width` columns.
std::string_view tail(std::string_view text, std::size_t width) {
  auto left = columns(text);
  while (left > width) {
    const auto one = man::first_character(text);
    left -= one.columns;
    text.remove_prefix(one.bytes);
  }
  return text;
}

}  // namespace

std::string cut_middle(std::string_view text, std::size_t width) {
  if (columns(text) <= width) return std::string(text);
  if (width < 3) return cut(text, width);
  const auto end = (width - 1) / 2;
  return cut(text, width - end) + std::string(tail(text, end));
}

std::string short_path(std::string_view path, std::size_t width) {
  const auto name = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/'));
  if (width == 0 || columns(path) <= width || name.size() == path.size()) return std::string(path);
  const auto for_head = width - std::min(width, columns(name));
  return cut(path.substr(0, path.size() - name.size()), std::max<std::size_t>(for_head, 2)) + std::string(name);
}

std::string cut_painted(std::string_view text, std::size_t width) {
  std::string out;
  std::size_t taken = 0, kept = 0;  // of what was put out, what leaves a column for the "…"
  bool painted = false;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    if (text[i] == '\x1b') {
      end = std::min(text.find('m', i), text.size() - 1) + 1;
      painted = text.substr(i, end - i) != "\x1b[0m";
    } else {
      const auto one = man::first_character(text.substr(i));
      end += one.bytes;
      taken += one.columns;
      if (taken > width) {
        if (width > 0) out = out.substr(0, kept) + "…";
        return painted ? out + "\x1b[0m" : out;
      }
    }
    out += text.substr(i, end - i);
    if (taken < width) kept = out.size();
    i = end;
  }
  return out;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 6> units{
      {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !(value >= 0) || value > 1e9) return std::nullopt;
  const auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, factor] : units)
    if (unit == name) return std::chrono::milliseconds(static_cast<std::int64_t>(value * factor));
  return std::nullopt;
}

}  // namespace neptune::cli

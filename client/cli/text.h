#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/lib/types.h"
#include "client/man/terminal.h"
#include "client/man/wrap.h"

/// Numbers, times and sentences the way people read them.
namespace neptune::cli {

enum class Colour { plain, dim, bold, red, yellow, green };

/// What the terminal can do.
struct Style {
  bool colour = false;
  std::size_t width = 0;  ///< columns; 0: unlimited, not a terminal
};

/// From the terminal that standard output is, NO_COLOR, TERM and COLUMNS.
Style style_of_output();

/// For standard error: in lines as wide as the terminal that it is, else in one line.
std::string message(std::string_view text);

/// How far something is, in one line of at most `width` columns: "████░░░░  50 %  1,204 of 2,408 changes, 31 held".
std::string progress_bar(std::uint64_t done, std::uint64_t left, std::uint64_t held, std::size_t width);

std::string paint(const Style& style, Colour colour, std::string_view text);

/// "1,204"; "-" for none, so that what is there stands out.
std::string count(std::uint64_t value);
/// "3.2 MiB"; "-" for none.
std::string bytes(std::uint64_t value);
/// "12 s", "4 min", "2 h 14 min", "3 d".
std::string age(std::chrono::system_clock::duration duration);
/// How long ago, or how long until; "-" when there is no such time.
std::string since(const std::optional<std::string>& time, std::chrono::system_clock::time_point now);
std::string until(const std::optional<std::string>& time, std::chrono::system_clock::time_point now);

/// The same of the files that are being sent: "████░░░░  33 %  1.0 GiB of 3.0 GiB, 52.0 MiB/s, 39 s left".
std::string upload_bar(const std::vector<api::Upload>& uploads, std::size_t width);

/// "model.bin: 1.2 GiB of 3.0 GiB (40 %), 52.0 MiB/s, 35 s left"; the rate and the time as far as they are known.
std::string progress_of(const api::Upload& upload);

/// "1 change", "1,204 changes".
std::string changes(std::uint64_t value);

/// Text of others, made fit for a terminal: line ends become spaces, and what cannot be seen, or is no
/// UTF-8, '?'.
std::string clean(std::string_view text);

/// The beginning of a sentence, with a capital; a name there keeps its letters, as in "vision is held by root".
std::string capital(std::string text);

using man::columns;
using man::terminal_width;
using man::wrap;

/// The beginning of UTF-8 text in at most so many columns, "…" at a cut.
std::string cut(std::string_view text, std::size_t width);

/// The beginning and the end of a name, "…" in between: its number often comes last.
std::string cut_middle(std::string_view text, std::size_t width);

/// A path in at most so many columns, or as long as its last name is: "/data/…/trial-7_17". 0: as it is.
std::string short_path(std::string_view path, std::size_t width);

/// The same of text with colours in it, which take no columns; a cut ends them.
std::string cut_painted(std::string_view text, std::size_t width);

/// "30s", "5m", "1h", "500ms", "2d", "90" (seconds).
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace neptune::cli

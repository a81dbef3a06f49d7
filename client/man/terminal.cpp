#include "client/man/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace neptune::man {

std::size_t columns_of(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  std::size_t width = 0;
  if (const char* text = std::getenv("COLUMNS")) std::from_chars(text, text + std::string_view(text).size(), width);
  return width > 0 ? width : 80;
}

bool is_dumb_terminal() {
  const char* terminal = std::getenv("TERM");
  return !terminal || std::string_view(terminal) == "dumb";
}

std::size_t terminal_width(int descriptor) {
  return ::isatty(descriptor) == 0 || is_dumb_terminal() ? 0 : columns_of(descriptor);
}

}  // namespace neptune::man

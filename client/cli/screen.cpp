#include "client/cli/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>

namespace neptune::cli {

namespace {

// Escape sequences of every terminal since the VT220: alternate screen, cursor, wrapping at the right edge.
constexpr std::string_view begin = "\x1b[?1049h\x1b[?25l\x1b[?7l", end = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr std::string_view home = "\x1b[H", no_line = "\x1b[2K", rest_of_screen = "\x1b[J";

void write_all(std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

Screen::Screen() {
  ::sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH}) ::sigaddset(&signals_, signal);
  ::sigprocmask(SIG_BLOCK, &signals_, &blocked_before_);
  signal_fd_ = ::signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK);
  ::tcgetattr(STDIN_FILENO, &before_);
  enter();
}

Screen::~Screen() {
  leave();
  ::close(signal_fd_);
  ::sigprocmask(SIG_SETMASK, &blocked_before_, nullptr);
}

void Screen::enter() {
  auto raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  write_all(begin);
}

void Screen::leave() {
  write_all(end);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

Style Screen::style() const {
  return style_of_output();
}

std::size_t Screen::rows() const {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

void Screen::show(const std::vector<std::string>& lines) {
  std::string out(home);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\r\n";
    // Before it is written: after the last column the cursor stands on it, and would take it along.
    out += no_line;
    out += lines[i];
  }
  // After the last row there is none to go to.
  if (lines.size() < rows()) out += "\r\n" + std::string(rest_of_screen);
  write_all(out);
}

Screen::Woken Screen::wait(int other, int milliseconds) {
  std::array<pollfd, 3> entries{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{signal_fd_, POLLIN, 0},
                                pollfd{other, POLLIN, 0}};
  if (::poll(entries.data(), entries.size(), milliseconds) <= 0) return Woken::time;
  if (entries[1].revents != 0) return take_signal();
  if (entries[0].revents != 0) {
    std::array<char, 64> keys{};
    const auto n = ::read(STDIN_FILENO, keys.data(), keys.size());
    if (n <= 0) return Woken::quit;  // the terminal is gone
    const std::string_view pressed(keys.data(), static_cast<std::size_t>(n));
    if (pressed.find_first_of("qQ") != std::string_view::npos) return Woken::quit;
    return Woken::resized;  // draws anew
  }
  return Woken::other;
}

Screen::Woken Screen::take_signal() {
  signalfd_siginfo info{};
  if (::read(signal_fd_, &info, sizeof info) != sizeof info) return Woken::time;
  if (info.ssi_signo == SIGWINCH) return Woken::resized;
  if (info.ssi_signo != SIGTSTP) return Woken::quit;
  leave();
  ::raise(SIGSTOP);
  ::tcgetattr(STDIN_FILENO, &before_);
  enter();
  return Woken::resized;
}

}  // namespace neptune::cli

#pragma once

#include <termios.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/text.h"

namespace neptune::cli {

/// The terminal as a screen of its own, while it lives: the alternate screen, no cursor, no echo, keys as they are
/// pressed. What was there before is there again afterwards, however it ends: SIGINT, SIGTERM, SIGHUP, SIGTSTP and
/// SIGWINCH come in through `wait` instead of ending the program.
class Screen {
 public:
  Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen();

  /// As it is now: it may be another after each `wait`.
  Style style() const;
  std::size_t rows() const;

  /// Takes the place of what is shown, in one piece.
  void show(const std::vector<std::string>& lines);

  enum class Woken { time, other, resized, quit };
  /// Until a key, a signal, `milliseconds`, or something to be read from `other` (-1: nothing). `quit`: q, Ctrl-C, or a
  /// signal that ends programs. Ctrl-Z stops the program and gives the terminal back meanwhile.
  Woken wait(int other, int milliseconds);

 private:
  void enter();
  void leave();
  Woken take_signal();

  termios before_{};
  sigset_t signals_{}, blocked_before_{};
  int signal_fd_ = -1;
};

}  // namespace neptune::cli

#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/integration/box.h"
#include "tests/integration/support/notify_socket.h"

namespace neptune::testing {

/// The daemon of a box, as a service manager starts it and is told by it. The box must not start it.
class Service {
 public:
  explicit Service(Box& box, std::map<std::string, std::string> env = {});

  NotifySocket& manager() { return manager_; }
  Process& daemon() { return daemon_; }

  /// SIGHUP, and waits until the daemon says that it has reloaded.
  bool reload();

  /// Waits for a line that begins and ends so.
  bool tells(const std::string& begin, const std::string& end);

  /// How many messages with this line came so far.
  std::ptrdiff_t told(const std::string& line) const;

 private:
  NotifySocket manager_;
  Process daemon_;
};

/// neptune-sync with these arguments, at a socket that is not the box's.
Ran ask(const Box& box, const std::string& socket, std::vector<std::string> args);

/// The box's configuration with `before` replaced, on disk.
void edit_config(const Box& box, const std::string& before, const std::string& after);

}  // namespace neptune::testing

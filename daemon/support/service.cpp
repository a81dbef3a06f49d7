#include "support/service.h"

#include <unistd.h>

#include <cstdlib>

namespace neptune {

namespace {

bool stopped = false;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// Others than systemd's own child may inherit much of what it sets, but for these two.
bool is_service() {
  return !environment("NOTIFY_SOCKET").empty() || environment("SYSTEMD_EXEC_PID") == std::to_string(::getpid());
}

/// Only a user's systemd says who it is.
std::string systemctl(const std::string& verb) {
  return "`systemctl " + std::string(environment("MANAGERPID").empty() ? "" : "--user ") + verb + " neptune-syncd`";
}

}  // namespace

void speak_for_a_stopped_daemon() {
  stopped = true;
}

std::string reload_command() {
  if (stopped) return "start the daemon";
  return is_service() ? systemctl("reload") : "`kill -HUP " + std::to_string(::getpid()) + "`";
}

std::string restart_command() {
  if (stopped) return "start the daemon";
  return is_service() ? systemctl("restart") : "end it (`kill " + std::to_string(::getpid()) + "`) and start it again";
}

}  // namespace neptune

#pragma once

#include <chrono>
#include <optional>
#include <string>

/// What the service manager is told (sd_notify). Nothing is said where there is none.
namespace neptune::app {

class ServiceManager {
 public:
  ServiceManager();

  bool listens() const { return listens_; }
  /// How often it wants to hear that we are alive; none: not at all.
  std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

  void ready(const std::string& status);
  void reloading();
  void stopping();
  void alive();
  /// Told when it is another than the last.
  void status(const std::string& status);

 private:
  bool listens_;
  std::optional<std::chrono::microseconds> watchdog_;
  std::string told_;
};

}  // namespace neptune::app

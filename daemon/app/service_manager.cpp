#include "app/service_manager.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace neptune::app {

namespace {

// A message is one line a field, and a datagram.
std::string one_line(std::string text) {
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  text.resize(std::min<std::size_t>(text.size(), 1000));
  return text;
}

}  // namespace

ServiceManager::ServiceManager() : listens_(std::getenv("NOTIFY_SOCKET") != nullptr) {
  std::uint64_t interval_us = 0;
  if (::sd_watchdog_enabled(0, &interval_us) > 0) watchdog_ = std::chrono::microseconds(interval_us);
}

void ServiceManager::ready(const std::string& status) {
  told_ = one_line(status);
  ::sd_notify(0, ("READY=1\nSTATUS=" + told_).c_str());
}

void ServiceManager::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000);
}

void ServiceManager::stopping() {
  ::sd_notify(0, "STOPPING=1\nSTATUS=Stopping: what is being sent may still finish");
}

void ServiceManager::alive() {
  ::sd_notify(0, "WATCHDOG=1");
}

void ServiceManager::status(const std::string& status) {
  auto line = one_line(status);
  if (line == told_) return;
  told_ = std::move(line);
  ::sd_notify(0, ("STATUS=" + told_).c_str());
}

}  // namespace neptune::app

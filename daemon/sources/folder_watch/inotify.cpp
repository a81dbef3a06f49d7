#include "sources/folder_watch/inotify.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace neptune::sources {

Result<Inotify> Inotify::open() {
  Descriptor fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd && errno == EMFILE)
    return fail("inotify_limit",
                "no more inotify instances can be opened; raise the sysctl fs.inotify.max_user_instances");
  if (!fd) return fail("inotify_failed", fmt::format("inotify cannot be used ({})", strerror(errno)));
  return Inotify(std::move(fd));
}

Result<int> Inotify::watch(const std::filesystem::path& directory, std::uint32_t mask) {
  const int watch = inotify_add_watch(descriptor(), directory.c_str(), mask | IN_ONLYDIR);
  if (watch >= 0) return watch;
  if (errno == ENOSPC)
    return fail("inotify_limit", "no more directories can be watched; raise the sysctl fs.inotify.max_user_watches");
  return fail("inotify_failed", fmt::format("{} cannot be watched ({})", directory.string(), strerror(errno)));
}

void Inotify::unwatch(int watch) {
  inotify_rm_watch(descriptor(), watch);
}

std::vector<Inotify::Event> Inotify::read() {
  std::vector<Event> events;
  alignas(inotify_event) std::array<char, 64 * 1024> buffer;
  const auto got = ::read(descriptor(), buffer.data(), buffer.size());
  for (const char* at = buffer.data(); got > 0 && at < buffer.data() + got;) {
    const auto* event = reinterpret_cast<const inotify_event*>(at);
    events.push_back({event->wd, event->mask, event->len > 0 ? std::string(event->name) : std::string()});
    at += sizeof(inotify_event) + event->len;
  }
  return events;
}

}  // namespace neptune::sources

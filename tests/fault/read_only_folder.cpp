// Loaded before a process's libraries: while there is a file $NEPTUNE_READ_ONLY.now, the folder $NEPTUNE_READ_ONLY is
// on a read-only file system for that process, as when the kernel finds an error on a disk and takes no more writes to
// it.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

bool is_read_only(std::string_view path) {
  const char* folder = std::getenv("NEPTUNE_READ_ONLY");
  return folder && path.starts_with(std::string(folder) + "/") &&
         ::access((std::string(folder) + ".now").c_str(), F_OK) == 0;
}

bool is_read_only(int descriptor) {
  std::array<char, 4096> path;
  const auto size = ::readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path.data(), path.size());
  return size > 0 && is_read_only(std::string_view(path.data(), static_cast<std::size_t>(size)));
}

int refused() {
  errno = EROFS;
  return -1;
}

/// The function that this one stands before.
template <class Function>
Function* next(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

mode_t mode_in(int flags, std::va_list more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

bool opens_for_writing(int flags) {
  return (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0;
}

}  // namespace

extern "C" {

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t at) {
  return is_read_only(descriptor) ? refused() : next(&::pwrite, "pwrite")(descriptor, bytes, size, at);
}
ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t at) {
  return is_read_only(descriptor) ? refused() : next(&::pwrite64, "pwrite64")(descriptor, bytes, size, at);
}
int ftruncate(int descriptor, off_t size) noexcept {
  return is_read_only(descriptor) ? refused() : next(&::ftruncate, "ftruncate")(descriptor, size);
}
int ftruncate64(int descriptor, off64_t size) noexcept {
  return is_read_only(descriptor) ? refused() : next(&::ftruncate64, "ftruncate64")(descriptor, size);
}
int unlink(const char* path) noexcept {
  return is_read_only(path) ? refused() : next(&::unlink, "unlink")(path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  return is_read_only(path) ? refused() : next(&::mkdir, "mkdir")(path, mode);
}

int open(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const auto mode = mode_in(flags, more);
  va_end(more);
  return opens_for_writing(flags) && is_read_only(path) ? refused() : next(&::open, "open")(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const auto mode = mode_in(flags, more);
  va_end(more);
  return opens_for_writing(flags) && is_read_only(path) ? refused() : next(&::open64, "open64")(path, flags, mode);
}

}  // extern "C"

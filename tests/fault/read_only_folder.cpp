// Loaded before a process's libraries: while there is a file $NEPTUNE_READ_ONLY.now, the folder $NEPTUNE_READ_ONLY is
// on a read-only file system for that process, as when the kernel finds an error on a disk and takes no more writes to
// it; while there is a file $NEPTUNE_READ_ONLY.fault, its disk fails, and no file in it can be read or written.
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

/// errno of what is done there; 0: nothing is wrong.
int fault_of(std::string_view path) {
  const char* folder = std::getenv("NEPTUNE_READ_ONLY");
  if (!folder || !path.starts_with(std::string(folder) + "/")) return 0;
  const auto is_there = [folder](const char* end) { return ::access((std::string(folder) + end).c_str(), F_OK) == 0; };
  if (is_there(".fault")) return EIO;
  return is_there(".now") ? EROFS : 0;
}

int fault_of(int descriptor) {
  std::array<char, 4096> path;
  const auto size = ::readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), path.data(), path.size());
  return size > 0 ? fault_of(std::string_view(path.data(), static_cast<std::size_t>(size))) : 0;
}

/// Sets errno, as the call that is refused does.
bool is_refused(int fault) {
  if (fault != 0) errno = fault;
  return fault != 0;
}

bool cannot_be_written(std::string_view path) {
  return is_refused(fault_of(path));
}
bool cannot_be_written(int descriptor) {
  return is_refused(fault_of(descriptor));
}
bool cannot_be_read(int descriptor) {
  const auto fault = fault_of(descriptor);
  return fault == EIO && is_refused(fault);
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

ssize_t pread(int descriptor, void* bytes, size_t size, off_t at) {
  return cannot_be_read(descriptor) ? -1 : next(&::pread, "pread")(descriptor, bytes, size, at);
}
ssize_t pread64(int descriptor, void* bytes, size_t size, off64_t at) {
  return cannot_be_read(descriptor) ? -1 : next(&::pread64, "pread64")(descriptor, bytes, size, at);
}
ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t at) {
  return cannot_be_written(descriptor) ? -1 : next(&::pwrite, "pwrite")(descriptor, bytes, size, at);
}
ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t at) {
  return cannot_be_written(descriptor) ? -1 : next(&::pwrite64, "pwrite64")(descriptor, bytes, size, at);
}
int ftruncate(int descriptor, off_t size) noexcept {
  return cannot_be_written(descriptor) ? -1 : next(&::ftruncate, "ftruncate")(descriptor, size);
}
int ftruncate64(int descriptor, off64_t size) noexcept {
  return cannot_be_written(descriptor) ? -1 : next(&::ftruncate64, "ftruncate64")(descriptor, size);
}
int unlink(const char* path) noexcept {
  return cannot_be_written(path) ? -1 : next(&::unlink, "unlink")(path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  return cannot_be_written(path) ? -1 : next(&::mkdir, "mkdir")(path, mode);
}

int open(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const auto mode = mode_in(flags, more);
  va_end(more);
  return opens_for_writing(flags) && cannot_be_written(path) ? -1 : next(&::open, "open")(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const auto mode = mode_in(flags, more);
  va_end(more);
  return opens_for_writing(flags) && cannot_be_written(path) ? -1 : next(&::open64, "open64")(path, flags, mode);
}

}  // extern "C"

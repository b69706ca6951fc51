// Part of the tests for ThreadSanitizer only. Threads that hold the same exception share it by a counter inside
// libstdc++, which is not built with the sanitizer. So when one thread frees an exception that another one has read, the
// sanitizer does not see that the counter put the one after the other; here the end of every catch block tells it.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

extern "C" [[gnu::visibility("default")]] void __cxa_end_catch() {
    static const auto end_catch = reinterpret_cast<void (*)()>(dlsym(RTLD_NEXT, "__cxa_end_catch"));
    static char counter;
    __tsan_release(&counter);
    __tsan_acquire(&counter);
    end_catch();
}

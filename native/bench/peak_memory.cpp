#include "peak_memory.h"

#if defined(_WIN32)
#include "platform/windows_api.h"
// psapi.h needs it before.
#include <psapi.h>
#else
#include <sys/resource.h>
#endif

namespace nmos::bench {

#if defined(_WIN32)

uint64_t peak_bytes() {
    PROCESS_MEMORY_COUNTERS counters{};
    if (!GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)) return 0;
    return counters.PeakWorkingSetSize;
}

#else

uint64_t peak_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    constexpr uint64_t unit = 1;
#else
    constexpr uint64_t unit = 1024;
#endif
    return static_cast<uint64_t>(usage.ru_maxrss) * unit;
}

#endif

}  // namespace nmos::bench

// What the core asks of the operating system. One interface, implemented by os_posix.cpp and os_windows.cpp.
// All functions may be called from any thread. Paths and names are UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nmos::os {

struct Memory {
    uint64_t total = 0;      // bytes of RAM this process may use (a container's limit counts)
    uint64_t available = 0;  // bytes that can be taken for data without swapping: what only mirrors files, mapped ones too, gives way
    uint64_t process = 0;    // bytes of RAM this process occupies now
};

// Read anew on every call; a figure the system does not tell is 0.
Memory memory();

// Of a graphics card's memory, for this process.
struct VideoMemory {
    uint64_t budget = 0;  // bytes that the system lets it have now; what is beyond is moved to RAM
    uint64_t used = 0;    // bytes that it has

    uint64_t free() const { return budget > used ? budget - used : 0; }
    uint64_t beyond() const { return used > budget ? used - budget : 0; }
};

// By the card's description, such as "NVIDIA GeForce GTX 1650"; nothing where the system gives no budgets (all but Windows) or
// knows no such card. Read anew on every call.
std::optional<VideoMemory> video_memory(const std::string& description);

// Version of the driver of a graphics card, by the card's description; empty where the system does not tell. Windows does for all
// cards, Linux for NVIDIA's: what computes on others there are libraries of the distribution.
std::string driver_version(const std::string& description);

// How busy the processors were since some moment, for differences between two calls; all 0 where the system does not tell.
struct ProcessorTimes {
    double all = 0;     // seconds, of all processors together, idle ones too
    double others = 0;  // seconds of that in which they worked for other processes and the system
    int count = 0;      // of processors, hyper-threads counted each
};
ProcessorTimes processor_times();

// Whether to save energy: on battery, or told so by the user (on Windows and Linux). False where the system does not tell.
// May take milliseconds.
bool saves_energy();

// Cores this process may run on, hyper-threads of one core counted once; at least 1.
unsigned physical_cores();

uint64_t process_id();

// Bytes of a file; nothing, with the system's reason in `error`, when there is none at the path or it is a folder.
std::optional<uint64_t> file_size(const std::string& path, std::string& error);

// Names of the files in a folder, in any order; none where the folder cannot be read.
std::vector<std::string> files_in(const std::string& directory);

// What to open a file by. Windows opens paths of more than 260 characters only where they are written in another way.
std::string openable(const std::string& path);

// Begins to read pages of a mapped file; they come by and by.
void read_ahead(const void* memory, size_t bytes);

// The same, but they are in RAM when it returns, unless there is no room for them. Of a range that is not all mapped nothing is
// waited for.
void page_in(const void* memory, size_t bytes);

// Shown by debuggers and profilers; at most 15 bytes.
void name_this_thread(const char* name);

// A library loaded at run time; stays loaded as long as the object lives.
class DynamicLibrary {
  public:
    virtual ~DynamicLibrary() = default;
    // Null when the library exports no such symbol.
    virtual void* symbol(const char* name) const = 0;
};

// Loads the library at an absolute path together with its siblings in the same folder. Null with the system's
// reason in `error` when it, or something it needs, cannot be loaded.
std::unique_ptr<DynamicLibrary> open_library(const std::string& path, std::string& error);

// From now on a library that anybody in this process loads by its name alone, as libraries of graphics drivers do, is looked for
// in the folder of this code and of the libraries that `open_library` opens, in the program's and in the system's: never in the
// working folder or on the PATH (Windows; nowhere else are those searched).
void search_own_folders_only();

}  // namespace nmos::os

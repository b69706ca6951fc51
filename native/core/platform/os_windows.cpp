#include "platform/os.h"
#include "platform/windows_api.h"
// psapi.h needs it before.
#include <psapi.h>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <set>
#include <vector>

namespace nmos::os {

std::wstring widen(const std::string& text) {
    const int length = MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), nullptr, 0);
    std::wstring wide(static_cast<size_t>(length), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), wide.data(), length);
    return wide;
}

std::string last_error_text() {
    wchar_t text[512];
    const DWORD code = GetLastError();
    const DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS;
    DWORD length = FormatMessageW(flags, nullptr, code, 0, text, static_cast<DWORD>(std::size(text)), nullptr);
    // The system ends its messages with a line break.
    while (length > 0 && text[length - 1] <= L' ') --length;
    return length > 0 ? narrow({text, length}) : "error " + std::to_string(code);
}

namespace {

// Absolute, with backslashes only; empty when Windows does not understand it.
std::wstring absolute(const std::wstring& path) {
    std::wstring full(GetFullPathNameW(path.c_str(), 0, nullptr, nullptr), L'\0');
    full.resize(GetFullPathNameW(path.c_str(), static_cast<DWORD>(full.size()), full.data(), nullptr));
    return full;
}

// Of an absolute or relative path, where it is so long that Windows does not open it otherwise ("Maximum Path Length
// Limitation" in Microsoft's documentation).
std::wstring extended(const std::wstring& path) {
    constexpr size_t longest = MAX_PATH - 12;  // a folder must have room for a short file name
    if (path.size() < longest || path.starts_with(L"\\\\?\\") || path.starts_with(L"\\\\.\\")) return path;
    const std::wstring full = absolute(path);
    if (full.empty()) return path;
    return full.starts_with(L"\\\\") ? L"\\\\?\\UNC" + full.substr(1) : L"\\\\?\\" + full;
}

// The system does not say which of the DLLs that a library needs it has not found.
std::string load_error_text(const std::string& path) {
    const bool is_dependency = GetLastError() == ERROR_MOD_NOT_FOUND && GetFileAttributesW(extended(widen(path)).c_str()) != INVALID_FILE_ATTRIBUTES;
    if (is_dependency) return "a DLL that it needs is missing, such as one of the graphics driver";
    return path + ": " + last_error_text();
}

// How fast a core is compared with the others; higher is faster. EfficiencyClass, the byte behind Flags, is named so
// in Microsoft's headers only: older ones of mingw-w64 call it reserved.
BYTE efficiency_class(const PROCESSOR_RELATIONSHIP& processor) {
    static_assert(offsetof(PROCESSOR_RELATIONSHIP, Flags) == 0);
    return reinterpret_cast<const BYTE*>(&processor)[1];
}

// The file of the addon, or of whatever program this code is a part of.
std::wstring own_file() {
    HMODULE module = nullptr;
    constexpr DWORD by_address = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    if (!GetModuleHandleExW(by_address, reinterpret_cast<LPCWSTR>(reinterpret_cast<void*>(&own_file)), &module)) return {};
    constexpr size_t longest = 32'768;
    std::wstring path(longest, L'\0');
    path.resize(GetModuleFileNameW(module, path.data(), longest));
    // As it was loaded, and Node loads addons by paths that begin so, which not all functions of the system take.
    const std::wstring_view of_server = L"\\\\?\\UNC\\";
    const std::wstring_view of_drive = L"\\\\?\\";
    if (path.starts_with(of_server)) path.replace(0, of_server.size(), L"\\\\");
    else if (path.starts_with(of_drive)) path.erase(0, of_drive.size());
    return path;
}

// Of a path with backslashes only.
std::wstring folder_of(const std::wstring& path) {
    return path.substr(0, path.find_last_of(L'\\'));
}

// Folders beside the program's and the system's in which libraries are looked for by name.
class SearchedFolders {
  public:
    static SearchedFolders& instance() {
        static SearchedFolders& folders = *new SearchedFolders;  // asked while statics are destroyed
        return folders;
    }

    // Absolute. One that the system refuses is left out: what is loaded from it by its path is found nevertheless.
    void add(const std::wstring& folder) {
        const std::lock_guard lock(mutex_);
        if (added_.insert(folder).second) AddDllDirectory(folder.c_str());
    }

  private:
    std::mutex mutex_;
    std::set<std::wstring> added_;
};

class WindowsLibrary final : public DynamicLibrary {
  public:
    explicit WindowsLibrary(HMODULE module) : module_(module) {}
    ~WindowsLibrary() override { FreeLibrary(module_); }
    WindowsLibrary(const WindowsLibrary&) = delete;
    WindowsLibrary& operator=(const WindowsLibrary&) = delete;

    void* symbol(const char* name) const override {
        return reinterpret_cast<void*>(GetProcAddress(module_, name));
    }

  private:
    HMODULE module_;
};

}  // namespace

Memory memory() {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof status;
    if (!GlobalMemoryStatusEx(&status)) status = {};
    PROCESS_MEMORY_COUNTERS_EX counters{};
    const auto ordinary = reinterpret_cast<PROCESS_MEMORY_COUNTERS*>(&counters);
    if (!GetProcessMemoryInfo(GetCurrentProcess(), ordinary, sizeof counters)) counters = {};
    // What Windows calls available leaves out what is in a working set, so also the pages of mapped models in ours, which it
    // takes back as readily. At least so many they are: what is private may have been paged out, but has all been promised.
    const uint64_t mapped = counters.WorkingSetSize - std::min(counters.WorkingSetSize, counters.PrivateUsage);
    // No memory for data is promised beyond RAM and paging file, however much RAM could be made free.
    const uint64_t available = std::min<uint64_t>(status.ullAvailPhys + mapped, status.ullAvailPageFile);
    return {status.ullTotalPhys, std::min<uint64_t>(available, status.ullTotalPhys), counters.WorkingSetSize};
}

ProcessorTimes processor_times() {
    const auto seconds = [](const FILETIME& time) {
        constexpr double unit = 1e-7;
        return static_cast<double>(uint64_t{time.dwHighDateTime} << 32 | time.dwLowDateTime) * unit;
    };
    FILETIME idle{};
    FILETIME kernel{};  // with the idle time
    FILETIME user{};
    FILETIME began{};
    FILETIME ended{};
    FILETIME own_kernel{};
    FILETIME own_user{};
    if (!GetSystemTimes(&idle, &kernel, &user) || !GetProcessTimes(GetCurrentProcess(), &began, &ended, &own_kernel, &own_user)) return {};
    const double all = seconds(kernel) + seconds(user);
    return {all, all - seconds(idle) - seconds(own_kernel) - seconds(own_user), static_cast<int>(GetActiveProcessorCount(ALL_PROCESSOR_GROUPS))};
}

bool saves_energy() {
    SYSTEM_POWER_STATUS status{};
    if (!GetSystemPowerStatus(&status)) return false;
    constexpr BYTE offline = 0;
    constexpr BYTE saver_on = 1;
    // SystemStatusFlag, which headers from before Windows 10 call Reserved1.
    const BYTE saver = reinterpret_cast<const BYTE*>(&status)[offsetof(SYSTEM_POWER_STATUS, BatteryLifePercent) + 1];
    return status.ACLineStatus == offline || saver == saver_on;
}

unsigned physical_cores() {
    DWORD size = 0;
    GetLogicalProcessorInformationEx(RelationProcessorCore, nullptr, &size);
    std::vector<unsigned char> buffer(size);
    const auto first = reinterpret_cast<PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX>(buffer.data());
    if (size == 0 || !GetLogicalProcessorInformationEx(RelationProcessorCore, first, &size)) return 1;
    // Cores of the fastest class only: slower ones would hold every pass up.
    BYTE fastest = 0;
    unsigned cores = 0;
    for (DWORD offset = 0; offset < size;) {
        const auto core = reinterpret_cast<PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX>(buffer.data() + offset);
        const BYTE speed = efficiency_class(core->Processor);
        if (speed > fastest) {
            fastest = speed;
            cores = 0;
        }
        if (speed == fastest) ++cores;
        offset += core->Size;
    }
    return std::max(1u, cores);
}

std::optional<uint64_t> file_size(const std::string& path, std::string& error) {
    // Opened, because attributes by name are those of a symbolic link itself. No right is needed but to ask.
    constexpr DWORD share_all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    const HANDLE file = CreateFileW(extended(widen(path)).c_str(), 0, share_all, nullptr, OPEN_EXISTING,
                                    FILE_FLAG_BACKUP_SEMANTICS, nullptr);
    BY_HANDLE_FILE_INFORMATION data{};
    const bool known = file != INVALID_HANDLE_VALUE && GetFileInformationByHandle(file, &data);
    if (!known) error = last_error_text();
    if (file != INVALID_HANDLE_VALUE) CloseHandle(file);
    if (!known) return std::nullopt;
    if (data.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
        error = "it is a folder";
        return std::nullopt;
    }
    return uint64_t{data.nFileSizeHigh} << 32 | data.nFileSizeLow;
}

std::vector<std::string> files_in(const std::string& directory) {
    std::vector<std::string> names;
    WIN32_FIND_DATAW found{};
    const HANDLE search = FindFirstFileW(extended(widen(directory) + L"\\*").c_str(), &found);
    if (search == INVALID_HANDLE_VALUE) return names;
    do {
        if (!(found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY)) names.push_back(narrow(found.cFileName));
    } while (FindNextFileW(search, &found));
    FindClose(search);
    return names;
}

std::string openable(const std::string& path) {
    const std::wstring wide = extended(widen(path));
    return narrow(wide);
}

namespace {

// Whether all of the range has pages that may be read.
bool is_mapped(const void* memory, size_t bytes) {
    const auto* at = static_cast<const char*>(memory);
    const char* const end = at + bytes;
    while (at < end) {
        MEMORY_BASIC_INFORMATION region;
        if (VirtualQuery(at, &region, sizeof region) == 0 || region.State != MEM_COMMIT || (region.Protect & (PAGE_NOACCESS | PAGE_GUARD)) != 0) return false;
        at = static_cast<const char*>(region.BaseAddress) + region.RegionSize;
    }
    return true;
}

}  // namespace

void read_ahead(const void* memory, size_t bytes) {
    if (bytes == 0) return;
    WIN32_MEMORY_RANGE_ENTRY range{const_cast<void*>(memory), bytes};
    PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

void page_in(const void* memory, size_t bytes) {
    if (bytes == 0 || !is_mapped(memory, bytes)) return;
    read_ahead(memory, bytes);
    const auto* const begin = static_cast<const volatile char*>(memory);
    constexpr size_t page = 4096;
    for (size_t at = 0; at < bytes; at += page) static_cast<void>(begin[at]);
    static_cast<void>(begin[bytes - 1]);
}

uint64_t process_id() {
    return GetCurrentProcessId();
}

void name_this_thread(const char* name) {
    // Looked up by name: Windows before 1607 does not have it, nor do older headers of mingw-w64.
    using SetDescription = HRESULT(WINAPI*)(HANDLE, PCWSTR);
    const FARPROC found = GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "SetThreadDescription");
    const auto set_description = reinterpret_cast<SetDescription>(reinterpret_cast<void*>(found));
    if (set_description) set_description(GetCurrentThread(), widen(name).c_str());
}

std::unique_ptr<DynamicLibrary> open_library(const std::string& path, std::string& error) {
    // Without this a missing dependency (a driver's DLL) would show a dialog box.
    DWORD previous = 0;
    SetThreadErrorMode(SEM_FAILCRITICALERRORS, &previous);
    // What it imports is looked for beside it and in the system, nowhere on the PATH. The flags want a full path with
    // backslashes.
    constexpr DWORD search = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32;
    const std::wstring full = absolute(widen(path));
    const HMODULE module = LoadLibraryExW(extended(full).c_str(), nullptr, search);
    if (!module) error = load_error_text(path);
    // For what it loads by name later, once for every folder.
    else SearchedFolders::instance().add(folder_of(full));
    SetThreadErrorMode(previous, nullptr);
    return module ? std::make_unique<WindowsLibrary>(module) : nullptr;
}

void search_own_folders_only() {
    // Of the program, of the system, and those that are added.
    SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
    SearchedFolders::instance().add(folder_of(own_file()));
}

}  // namespace nmos::os

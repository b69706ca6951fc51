// What Windows lets this process have of a graphics card's memory, and what it says of the card's driver, from DXGI.
//
// Drivers report what the card has free. Windows gives each process a budget of it, by what others want, and moves what is
// beyond that to RAM without telling anybody: then every pass over the model waits for the bus.
// https://learn.microsoft.com/windows/win32/api/dxgi1_4/nf-dxgi1_4-idxgiadapter3-queryvideomemoryinfo
#include "platform/os.h"
#include "platform/windows_api.h"
// dxgi1_4.h needs it before.
#include <dxgi1_4.h>

#include <mutex>
#include <utility>
#include <vector>

namespace nmos::os {

namespace {

template <class T>
class Com {
  public:
    Com() = default;
    Com(Com&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Com& operator=(Com&& other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Com() {
        if (object_) object_->Release();
    }

    explicit operator bool() const { return object_ != nullptr; }
    T* operator->() const { return object_; }
    // For a function that makes one.
    void** out() { return reinterpret_cast<void**>(&object_); }
    T** slot() { return &object_; }

  private:
    T* object_ = nullptr;
};

struct Adapter {
    std::string description;
    std::string driver;
    Com<IDXGIAdapter3> adapter;
};

// The library is part of Windows, but for Server Core; not linked, because without it the engine still computes.
Com<IDXGIFactory1> make_factory() {
    Com<IDXGIFactory1> factory;
    const HMODULE library = LoadLibraryExW(L"dxgi.dll", nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!library) return factory;
    using Create = HRESULT(WINAPI*)(REFIID, void**);
    const auto create = reinterpret_cast<Create>(reinterpret_cast<void*>(GetProcAddress(library, "CreateDXGIFactory1")));
    if (create && FAILED(create(__uuidof(IDXGIFactory1), factory.out()))) return {};
    return factory;
}

// Of the part that computes, with dots. The interface only decides which part is asked; it is the one that every driver has.
// https://learn.microsoft.com/windows/win32/api/dxgi/nf-dxgi-idxgiadapter-checkinterfacesupport
std::string driver_of(IDXGIAdapter1& adapter) {
    LARGE_INTEGER version{};
    if (FAILED(adapter.CheckInterfaceSupport(__uuidof(IDXGIDevice), &version))) return "";
    std::string text;
    for (int shift = 48; shift >= 0; shift -= 16) text += (text.empty() ? "" : ".") + std::to_string(version.QuadPart >> shift & 0xFFFF);
    return text;
}

std::vector<Adapter> list_adapters(IDXGIFactory1& factory) {
    std::vector<Adapter> adapters;
    for (UINT i = 0;; ++i) {
        Com<IDXGIAdapter1> any;
        if (FAILED(factory.EnumAdapters1(i, any.slot()))) return adapters;
        DXGI_ADAPTER_DESC1 description{};
        Adapter adapter;
        const bool is_usable = SUCCEEDED(any->GetDesc1(&description)) && !(description.Flags & DXGI_ADAPTER_FLAG_SOFTWARE) &&
                               SUCCEEDED(any->QueryInterface(__uuidof(IDXGIAdapter3), adapter.adapter.out()));
        if (!is_usable) continue;
        adapter.description = narrow(description.Description);
        adapter.driver = driver_of(*any.operator->());
        adapters.push_back(std::move(adapter));
    }
}

std::mutex adapters_mutex;

// Listed with the first call. Under adapters_mutex.
const std::vector<Adapter>& all_adapters() {
    static Com<IDXGIFactory1>& factory = *new Com<IDXGIFactory1>;  // drivers may be gone when statics are destroyed
    static std::vector<Adapter>& adapters = *new std::vector<Adapter>;
    static bool is_tried = false;
    if (!std::exchange(is_tried, true)) {
        factory = make_factory();
        if (factory) adapters = list_adapters(*factory.operator->());
    }
    return adapters;
}

}  // namespace

std::string driver_version(const std::string& description) {
    std::lock_guard lock(adapters_mutex);
    for (const Adapter& adapter : all_adapters()) {
        if (adapter.description == description) return adapter.driver;
    }
    return "";
}

std::optional<VideoMemory> video_memory(const std::string& description) {
    std::lock_guard lock(adapters_mutex);
    std::optional<VideoMemory> least;
    for (const Adapter& adapter : all_adapters()) {
        DXGI_QUERY_VIDEO_MEMORY_INFO info{};
        if (adapter.description != description) continue;
        if (FAILED(adapter.adapter->QueryVideoMemoryInfo(0, DXGI_MEMORY_SEGMENT_GROUP_LOCAL, &info))) continue;
        const VideoMemory memory{info.Budget, info.CurrentUsage};
        // Of two cards of one kind nobody knows which is meant: the fuller one is safe.
        if (!least || memory.free() < least->free()) least = memory;
    }
    return least;
}

}  // namespace nmos::os

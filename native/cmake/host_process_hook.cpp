// Lets the addon find Node's functions in whatever program runs it (mingw-w64 builds for Windows).
//
// An addon that imports from "node.exe" by name loads in node.exe alone, but the engine host runs in VS Code's own
// executable, Code.exe. So Node's functions are imported with a delay, and this hook answers the first use: it gives
// the running program in place of a file called node.exe. node-gyp and cmake-js do the same for MSVC with
// win_delay_load_hook.cc, which they compile to nothing elsewhere.
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
// delayimp.h needs windows.h before it.
#include <delayimp.h>

#include <cstring>

namespace {

FARPROC WINAPI use_host_process(unsigned event, PDelayLoadInfo info) {
    if (event != dliNotePreLoadLibrary || _stricmp(info->szDll, "node.exe") != 0) return nullptr;
    // Programs that embed Node as a library have it in node.dll; all others export its functions themselves.
    HMODULE node = GetModuleHandleW(L"node.dll");
    if (!node) node = GetModuleHandleW(nullptr);
    return reinterpret_cast<FARPROC>(node);
}

}  // namespace

// The name that the delay-load helper of the C run-time looks for; delayimp.h declares it.
PfnDliHook __pfnDliNotifyHook2 = use_host_process;

// Node makes pipes with the default access list, by which everybody may connect to read:
// https://learn.microsoft.com/windows/win32/ipc/named-pipe-security-and-access-rights
// A pipe has one list for all its instances, and its owner may change that by any handle, also that of a client.
#include "platform/pipe_access.h"
#include "platform/windows_api.h"
// sddl.h needs it before.
#include <sddl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace nmos::os {

namespace {

struct CloseIt {
    void operator()(HANDLE handle) const { CloseHandle(handle); }
};
using Handle = std::unique_ptr<void, CloseIt>;

struct FreeIt {
    void operator()(void* memory) const { LocalFree(memory); }
};
using LocalText = std::unique_ptr<wchar_t, FreeIt>;

// As text; null, with the reason in GetLastError, when the system does not tell.
LocalText this_user() {
    HANDLE opened = nullptr;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &opened)) return nullptr;
    const Handle token(opened);
    DWORD size = 0;
    GetTokenInformation(token.get(), TokenUser, nullptr, 0, &size);
    std::vector<std::max_align_t> buffer(size / sizeof(std::max_align_t) + 1);
    if (!GetTokenInformation(token.get(), TokenUser, buffer.data(), size, &size)) return nullptr;
    LPWSTR text = nullptr;
    ConvertSidToStringSidW(reinterpret_cast<const TOKEN_USER*>(buffer.data())->User.Sid, &text);
    return LocalText(text);
}

// Of an object of the system, as text; null as above.
LocalText access_list_of(HANDLE object) {
    DWORD size = 0;
    GetKernelObjectSecurity(object, DACL_SECURITY_INFORMATION, nullptr, 0, &size);
    std::vector<std::max_align_t> buffer(size / sizeof(std::max_align_t) + 1);
    if (!GetKernelObjectSecurity(object, DACL_SECURITY_INFORMATION, buffer.data(), size, &size)) return nullptr;
    LPWSTR text = nullptr;
    ConvertSecurityDescriptorToStringSecurityDescriptorW(buffer.data(), SDDL_REVISION_1, DACL_SECURITY_INFORMATION, &text, nullptr);
    return LocalText(text);
}

// As a client that says nothing. Whoever takes the name in between gets a handle to nothing of this process.
Handle connect(const std::wstring& name) {
    constexpr DWORD rights = GENERIC_READ | READ_CONTROL | WRITE_DAC;
    const HANDLE pipe = CreateFileW(name.c_str(), rights, 0, nullptr, OPEN_EXISTING, SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, nullptr);
    return Handle(pipe == INVALID_HANDLE_VALUE ? nullptr : pipe);
}

// False, with the reason in GetLastError.
bool allow(HANDLE object, const LocalText& user) {
    // All rights for the user, further instances of the pipe among them, nothing for anybody else, and nothing that is inherited.
    const std::wstring list = std::wstring(L"D:P(A;;FA;;;") + user.get() + L")";
    PSECURITY_DESCRIPTOR made = nullptr;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(list.c_str(), SDDL_REVISION_1, &made, nullptr)) return false;
    const std::unique_ptr<void, FreeIt> descriptor(made);
    return SetKernelObjectSecurity(object, DACL_SECURITY_INFORMATION, made) != FALSE;
}

}  // namespace

std::string keep_pipe_to_user(const std::string& name, std::string& error) {
    const LocalText user = this_user();
    const Handle pipe = user ? connect(widen(name)) : nullptr;
    const LocalText list = pipe && allow(pipe.get(), user) ? access_list_of(pipe.get()) : nullptr;
    if (list) return narrow(list.get());
    error = last_error_text();
    return "";
}

}  // namespace nmos::os

// The error that ends an operation of the core.
//
// `code` is stable and meant for programs (src/shared/errors.ts lists the same words, and a test compares the two);
// `what()` is meant for people: what was expected, what came, what to do. Ordinary outcomes such as a cancelled
// request are return values, never errors.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace nmos {

enum class ErrorCode {
    ModelNotFound,
    ModelInvalid,
    ModelTruncated,
    ModelUnsupported,
    ContextTooLong,
    OutOfMemory,
    InvalidArgument,
    SessionBusy,
    Closed,
    BackendUnavailable,
    DeviceFailed,
    Internal,
};

constexpr std::string_view name_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::ModelNotFound: return "MODEL_NOT_FOUND";
        case ErrorCode::ModelInvalid: return "MODEL_INVALID";
        case ErrorCode::ModelTruncated: return "MODEL_TRUNCATED";
        case ErrorCode::ModelUnsupported: return "MODEL_UNSUPPORTED";
        case ErrorCode::ContextTooLong: return "CONTEXT_TOO_LONG";
        case ErrorCode::OutOfMemory: return "OUT_OF_MEMORY";
        case ErrorCode::InvalidArgument: return "INVALID_ARGUMENT";
        case ErrorCode::SessionBusy: return "SESSION_BUSY";
        case ErrorCode::Closed: return "CLOSED";
        case ErrorCode::BackendUnavailable: return "BACKEND_UNAVAILABLE";
        case ErrorCode::DeviceFailed: return "DEVICE_FAILED";
        case ErrorCode::Internal: return "INTERNAL";
    }
    return "INTERNAL";
}

class EngineError : public std::runtime_error {
  public:
    EngineError(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

    ErrorCode code() const noexcept { return code_; }

  private:
    ErrorCode code_;
};

}  // namespace nmos

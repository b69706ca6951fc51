// Where the messages of llama.cpp, ggml and the core go.
//
// The libraries know one log callback per process; this file owns it. Any thread may log; sinks are called under a
// lock, one message at a time, and must not log themselves.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace nmos {

enum class LogLevel { Debug, Info, Warn, Error };

using LogSink = std::function<void(LogLevel, std::string_view)>;

// Takes the libraries' messages over; without it they go to standard error. May be called again.
void take_over_library_log();

// Adds a sink for as long as the returned handle lives.
std::shared_ptr<void> add_log_sink(LogSink sink);

// Throws nothing: a message that there is no memory for is lost.
void log(LogLevel level, std::string_view text);

// Collects the errors logged by the current thread while it lives, so that a library call which only says "failed"
// can be reported with its reasons. Meanwhile they reach the sinks as debug lines: whether they are errors is known
// only when the call has ended (a cancelled pass logs some too).
class ErrorCapture {
  public:
    ErrorCapture();
    ~ErrorCapture();
    ErrorCapture(const ErrorCapture&) = delete;
    ErrorCapture& operator=(const ErrorCapture&) = delete;

    // The lines so far, joined by "; ".
    const std::string& text() const { return text_; }

  private:
    friend void log(LogLevel level, std::string_view text);
    std::string text_;
    ErrorCapture* outer_;
};

}  // namespace nmos

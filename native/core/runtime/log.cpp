#include "runtime/log.h"

#include <ggml.h>
#include <llama.h>

#include <exception>
#include <list>
#include <mutex>

namespace nmos {

namespace {

struct Sinks {
    std::mutex mutex;
    std::list<LogSink> list;
};

Sinks& sinks() {
    static Sinks instance;
    return instance;
}

thread_local ErrorCapture* innermost_capture = nullptr;

LogLevel level_of(ggml_log_level level) {
    switch (level) {
        case GGML_LOG_LEVEL_ERROR: return LogLevel::Error;
        case GGML_LOG_LEVEL_WARN: return LogLevel::Warn;
        case GGML_LOG_LEVEL_INFO: return LogLevel::Info;
        default: return LogLevel::Debug;
    }
}

// The libraries log pieces of lines ("....") as well as whole ones; pieces continue the level before them.
void add_to_line(ggml_log_level level, const char* text) {
    thread_local std::string line;
    thread_local LogLevel line_level = LogLevel::Debug;
    if (level != GGML_LOG_LEVEL_CONT) line_level = level_of(level);
    line += text;
    for (size_t end = line.find('\n'); end != std::string::npos; end = line.find('\n')) {
        if (end > 0) log(line_level, std::string_view(line).substr(0, end));
        line.erase(0, end + 1);
    }
}

// They also log while they free what they have, where nothing may be thrown.
void on_library_log(ggml_log_level level, const char* text, void*) {
    try {
        add_to_line(level, text);
    } catch (const std::exception&) {
        // There is no memory for the line.
    }
}

}  // namespace

void take_over_library_log() {
    llama_log_set(on_library_log, nullptr);
}

std::shared_ptr<void> add_log_sink(LogSink sink) {
    std::list<LogSink>::iterator entry;
    {
        std::lock_guard lock(sinks().mutex);
        entry = sinks().list.insert(sinks().list.end(), std::move(sink));
    }
    // Not under the lock: where there is no memory for the handle, the sink is removed at once.
    return std::shared_ptr<void>(nullptr, [entry](void*) {
        std::lock_guard removal(sinks().mutex);
        sinks().list.erase(entry);
    });
}

void log(LogLevel level, std::string_view text) {
    try {
        if (level == LogLevel::Error && innermost_capture) {
            std::string& captured = innermost_capture->text_;
            if (!captured.empty()) captured += "; ";
            captured += text;
            level = LogLevel::Debug;
        }
        std::lock_guard lock(sinks().mutex);
        for (const LogSink& sink : sinks().list) sink(level, text);
    } catch (const std::exception&) {
        // There is no memory for the message, and nobody to tell.
    }
}

ErrorCapture::ErrorCapture() : outer_(innermost_capture) {
    innermost_capture = this;
}

ErrorCapture::~ErrorCapture() {
    innermost_capture = outer_;
}

}  // namespace nmos

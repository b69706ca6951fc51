#include "engine_context.h"

#include "runtime/log.h"

namespace nmos::binding {

namespace {

const char* name_of(LogLevel level) {
    switch (level) {
        case LogLevel::Debug: return "debug";
        case LogLevel::Info: return "info";
        case LogLevel::Warn: return "warn";
        case LogLevel::Error: return "error";
    }
    return "debug";
}

LogSink sink_for(const Callback& on_log, const std::shared_ptr<MainThread>& main) {
    return [on_log, main](LogLevel level, std::string_view text) {
        main->post([on_log, level, line = std::string(text)](Napi::Env env) {
            on_log->Call({Napi::String::New(env, name_of(level)), Napi::String::New(env, line)});
        });
    };
}

}  // namespace

void OpenEngines::close_all() const {
    for (EngineContext* engine : engines_) engine->close_now();
}

EngineContext::EngineContext(Napi::Env env, const std::string& library_directory, bool cpu_only, std::string cache_directory,
                             const std::vector<BackendPack>& packs, const std::vector<std::string>& left_out, const Callback& on_log,
                             std::shared_ptr<MainThread> main, std::shared_ptr<OpenEngines> siblings)
    : env_(env), main_(std::move(main)), log_sink_(on_log ? add_log_sink(sink_for(on_log, main_)) : nullptr),
      engine_(std::make_unique<Engine>(library_directory, cpu_only, std::move(cache_directory), packs, left_out)), closer_("nmos-closer"),
      siblings_(std::move(siblings)) {
    siblings_->add(this);
    napi_add_env_cleanup_hook(env_, &EngineContext::on_node_exit, this);
}

EngineContext::~EngineContext() {
    siblings_->remove(this);
    napi_remove_env_cleanup_hook(env_, &EngineContext::on_node_exit, this);
}

void EngineContext::on_node_exit(void* self) {
    static_cast<EngineContext*>(self)->close_now();
}

void EngineContext::close_now() {
    closed_ = true;
    closer_.finish();
    engine_->close();
}

Engine& EngineContext::engine() const {
    if (closed_) throw EngineError(ErrorCode::Closed, "The engine was closed; create another one.");
    return *engine_;
}

void EngineContext::expect_taken(bool taken) {
    if (!taken) throw EngineError(ErrorCode::Closed, "The engine was closed.");
}

Napi::Value EngineContext::close(Napi::Env env) {
    closed_ = true;
    const auto to_undefined = [](Napi::Env at, bool&) { return at.Undefined(); };
    return async<bool>(env, shared_from_this(), to_undefined, [this](const Settler<bool>& settler) {
        const bool taken = closer_.post([settler, engine = engine_.get()] {
            settler.settle_with([engine] {
                engine->close();
                return true;
            });
        });
        if (!taken) settler.resolve(true);
    });
}

}  // namespace nmos::binding

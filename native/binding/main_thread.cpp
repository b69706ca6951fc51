#include "main_thread.h"

namespace nmos::binding {

MainThread::MainThread(Napi::Env env) : env_(env) {
    const napi_value name = Napi::String::New(env, "nmos");
    const napi_status status =
        napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, &MainThread::run, &queue_);
    if (status != napi_ok) throw Napi::Error::New(env, "Node refuses a thread-safe function");
    napi_unref_threadsafe_function(env, queue_);
}

MainThread::~MainThread() {
    napi_release_threadsafe_function(queue_, napi_tsfn_release);
}

void MainThread::post(Task task) {
    auto boxed = std::make_unique<Task>(std::move(task));
    if (napi_call_threadsafe_function(queue_, boxed.get(), napi_tsfn_nonblocking) == napi_ok) boxed.release();
}

void MainThread::begin_operation() {
    if (pending_++ == 0) napi_ref_threadsafe_function(env_, queue_);
}

void MainThread::end_operation() {
    if (--pending_ == 0) napi_unref_threadsafe_function(env_, queue_);
}

void MainThread::run(napi_env env, napi_value, void*, void* task) {
    const std::unique_ptr<Task> boxed(static_cast<Task*>(task));
    if (!env) return;
    const Napi::HandleScope scope(env);
    try {
        (*boxed)(env);
    } catch (const Napi::Error& error) {
        // A callback of the caller threw: that is an uncaught exception, as with any event handler.
        napi_fatal_exception(env, error.Value());
    }
}

}  // namespace nmos::binding

#include "main_thread.h"

#include <utility>

namespace nmos::binding {

MainThread::MainThread(Napi::Env env) : env_(env) {
    const napi_value name = Napi::String::New(env, "nmos");
    auto held = std::make_unique<std::shared_ptr<Queue>>(queue_);
    const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, held.get(), &MainThread::on_taken_back, nullptr,
                                                               &MainThread::run, &queue_->function);
    if (status != napi_ok) throw Napi::Error::New(env, "Node refuses a thread-safe function");
    held.release();
    napi_unref_threadsafe_function(env, queue_->function);
}

MainThread::~MainThread() {
    std::lock_guard lock(queue_->mutex);
    if (queue_->function) napi_release_threadsafe_function(queue_->function, napi_tsfn_release);
}

void MainThread::post_task(std::shared_ptr<Task> task) noexcept {
    // Freed last and without the lock.
    std::shared_ptr<Task> dropped;
    std::lock_guard lock(queue_->mutex);
    if (!queue_->function) return;
    Task* const queued = task.get();
    queued->queued_ = std::move(task);
    const napi_status status = napi_call_threadsafe_function(queue_->function, queued, napi_tsfn_nonblocking);
    if (status != napi_ok) dropped = std::move(queued->queued_);
    if (status == napi_closing) queue_->function = nullptr;
}

MainThread::Operation MainThread::begin_operation(std::shared_ptr<void> owner) {
    std::lock_guard lock(queue_->mutex);
    const Operation begun = queue_->owners.insert(queue_->owners.end(), std::move(owner));
    if (queue_->owners.size() == 1 && queue_->function) napi_ref_threadsafe_function(env_, queue_->function);
    return begun;
}

void MainThread::end_operation(Operation operation) {
    // Freed last and without the lock: it may be what keeps this object, or post when it ends.
    const std::shared_ptr<void> owner = std::move(*operation);
    std::lock_guard lock(queue_->mutex);
    queue_->owners.erase(operation);
    if (queue_->owners.empty() && queue_->function) napi_unref_threadsafe_function(env_, queue_->function);
}

void MainThread::run(napi_env env, napi_value, void*, void* task) {
    const std::shared_ptr<Task> taken = std::move(static_cast<Task*>(task)->queued_);
    if (!env) return;
    const Napi::HandleScope scope(env);
    try {
        taken->run(env);
    } catch (const Napi::Error& error) {
        // A callback of the caller threw: that is an uncaught exception, as with any event handler.
        napi_fatal_exception(env, error.Value());
    }
}

void MainThread::on_taken_back(napi_env, void* queue, void*) {
    const std::unique_ptr<std::shared_ptr<Queue>> held(static_cast<std::shared_ptr<Queue>*>(queue));
    std::list<std::shared_ptr<void>> owners;
    const std::lock_guard lock((*held)->mutex);
    (*held)->function = nullptr;
    owners.swap((*held)->owners);
}

}  // namespace nmos::binding

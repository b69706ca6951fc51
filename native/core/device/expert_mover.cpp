#include "device/expert_mover.h"

#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <new>
#include <optional>

#include "runtime/log.h"

namespace nmos {

struct ExpertMover::Job {
    const HostWeights* weights = nullptr;
    HostMixture* mixture = nullptr;
    HostMixture::Move move;
    std::array<ggml_tensor, 3> from{};     // of the expert that comes, in RAM
    std::array<const void*, 3> leaving{};  // of the one that goes, in the file
    bool failed = false;                   // the card is lost: what is there is not the expert; set before `done`
    std::atomic<bool> done = false;
};

ExpertMover::ExpertMover(ggml_backend_dev_t card, UploadRing& ring) : card_(card), ring_(ring) {}

ExpertMover::~ExpertMover() = default;

void ExpertMover::step(HostWeights& weights, const std::function<void()>& settle) {
    if (job_) {
        if (job_->done && !job_->failed) finish();
        return;
    }
    HostMixture* best = nullptr;
    std::optional<ExpertSwap> swap;
    for (HostMixture* mixture : weights.mixtures()) {
        const std::optional<ExpertSwap> found = mixture->find_swap();
        if (!found || (swap && found->gain <= swap->gain)) continue;
        swap = found;
        best = mixture;
    }
    if (!best) return;
    if (!queue_) queue_.reset(ggml_backend_dev_init(card_, nullptr));
    if (!queue_) return;
    if (!thread_) thread_ = std::make_unique<Worker>("nmos-experts");
    settle();
    job_ = std::make_shared<Job>();
    job_->weights = &weights;
    job_->mixture = best;
    job_->move = best->begin(*swap);
    for (size_t i = 0; i < job_->from.size(); ++i) {
        job_->from[i] = *best->in_ram(i, swap->in);
        const ggml_tensor* const whole = best->whole().all()[i];
        job_->leaving[i] = swap->out ? static_cast<const char*>(whole->data) + *swap->out * whole->nb[2] : nullptr;
    }
    // For good: after one that failed no other is begun.
    const auto give_up = [](Job& job, const char* why) {
        job.failed = true;
        // The mixture's alone from now on, so that what it releases is given back.
        job.move.vram.reset();
        job.move.pinned.reset();
        log(LogLevel::Warn, "Experts are no longer brought into graphics memory:");
        log(LogLevel::Warn, why);
    };
    try {
        thread_->post([this, job = job_, give_up] {
            try {
                copy(*job);
            } catch (const std::exception& error) {
                end_copies();
                give_up(*job, error.what());
            }
            job->done = true;
            job->done.notify_all();
        });
    } catch (const std::bad_alloc& error) {
        give_up(*job_, error.what());
        job_->done = true;
    }
}

void ExpertMover::copy(const Job& job) {
    const HostMixture::Move& move = job.move;
    for (size_t i = 0; i < job.from.size(); ++i) {
        const size_t bytes = ggml_nbytes(&job.from[i]);
        ggml_tensor* const target = move.vram->weights[i];
        ggml_backend_tensor_set_async(queue_.get(), target, job.from[i].data, move.vram->offset(i, move.vram_place), bytes);
        if (!move.pinned) continue;
        std::memcpy(static_cast<char*>(move.pinned->weights[i]->data) + move.pinned->offset(i, move.pinned_place), job.leaving[i], bytes);
    }
    ggml_backend_synchronize(queue_.get());
}

void ExpertMover::end_copies() {
    try {
        ggml_backend_synchronize(queue_.get());
    } catch (const std::exception&) {
        // The card is lost, and nothing is written there any more.
    }
}

void ExpertMover::finish() {
    if (job_->mixture->finish(job_->move)) ring_.forget(*job_->mixture->unit());
    job_.reset();
}

bool ExpertMover::is_moving(const HostWeights& weights) const {
    return job_ && job_->weights == &weights;
}

void ExpertMover::settle(const HostWeights& weights) {
    if (!is_moving(weights)) return;
    job_->done.wait(false);
    if (!job_->failed) finish();
}

void ExpertMover::forget(const HostWeights& weights) {
    if (!is_moving(weights)) return;
    job_->done.wait(false);
    job_.reset();
}

}  // namespace nmos

// What a user's session asks of a model and of one that drafts for it, from loading to closing, with answers that are compared with
// the processor's. For tests in which memory is refused meanwhile.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <span>

#include "check.h"
#include "refused_new.h"
#include "short_vocabulary.h"
#include "simulated_cards.h"

namespace nmos::testing {

constexpr uint32_t life_context = 128;
constexpr uint32_t life_batch = placed_batch;
constexpr size_t answer_tokens = 8;
constexpr uint64_t never = UINT64_MAX;  // refused: behind so many requests

using Tokens = std::vector<llama_token>;
using Logits = std::vector<float>;  // (answer token, vocabulary)

// Of two passes.
inline Tokens life_prompt() {
    Tokens tokens;
    for (llama_token i = 0; i < 40; ++i) tokens.push_back(special_tokens + i * 37 % (short_vocabulary - special_tokens));
    return tokens;
}

// The logits that an answer was chosen from. Special tokens are never chosen, so that no answer ends early.
class Heard {
  public:
    void hear(size_t place, std::span<float> logits) {
        std::fill_n(logits.begin(), special_tokens, -1e9f);
        if (place - first_ < answer_tokens) std::ranges::copy(logits, logits_.begin() + static_cast<std::ptrdiff_t>((place - first_) * short_vocabulary));
    }
    const Logits& logits() const { return logits_; }

  private:
    size_t first_ = life_prompt().size();
    Logits logits_ = Logits(answer_tokens * short_vocabulary);
};

// Networks that are large beside what else a card has to hold.
inline synthetic::Shape dense_shape() {
    synthetic::Shape shape = *synthetic::find_shape("tiny");
    shape.layers = 3;
    shape.feed_forward = 4096;
    return shape;
}

inline synthetic::Shape mixture_shape() {
    synthetic::Shape shape = *synthetic::find_shape("tiny-moe");
    shape.layers = 3;
    shape.experts = 16;
    shape.feed_forward = 512;
    return shape;
}

// What the processor alone computes, token by token of the same answer.
class Reference {
  public:
    // By how much logits may differ that were added up in another order, as a share of how much logits differ among each other.
    static constexpr double rounding = 0.1;

    // The router of a mixture may choose another expert for a rounding: of its answers only the tokens are compared.
    Reference(const std::string& path, bool is_mixture) : is_mixture_(is_mixture), small_(path), session_(small_.session(life_context, life_batch)) {}

    void check(const Tokens& answer, const Logits& heard, Location at) {
        expect_equal(answer.size(), answer_tokens, at);
        const Logits& expected = behind(answer);
        for (size_t i = 0; i < answer_tokens; ++i) {
            const auto begin = static_cast<std::ptrdiff_t>(i * short_vocabulary);
            const std::span found = std::span(heard).subspan(i * short_vocabulary, short_vocabulary);
            expect_equal(answer[i], static_cast<llama_token>(std::ranges::max_element(found) - found.begin()), at);
            double squares = 0;
            double worst = 0;
            double best = expected[static_cast<size_t>(begin + special_tokens)];
            for (auto token = begin + special_tokens; token < begin + short_vocabulary; ++token) {
                const double of_processor = expected[static_cast<size_t>(token)];
                squares += of_processor * of_processor;
                best = std::max(best, of_processor);
                worst = std::max(worst, std::abs(heard[static_cast<size_t>(token)] - of_processor));
            }
            const double usual = std::sqrt(squares / static_cast<double>(short_vocabulary - special_tokens));
            const double worse = best - expected[static_cast<size_t>(begin + answer[i])];
            expect(worse < usual, "the processor's token " + show(i) + ", got one that is less likely by " + show(worse) + " where " + show(usual) + " is usual", at);
            expect(is_mixture_ || worst < rounding * usual, "the processor's logits for token " + show(i) + ", got some that differ by " + show(worst) + " where " + show(usual) + " is usual", at);
        }
    }

  private:
    const Logits& behind(const Tokens& answer) {
        const auto [known, is_new] = known_.try_emplace(answer);
        if (!is_new) return known->second;
        Tokens text = life_prompt();
        text.insert(text.end(), answer.begin(), answer.end() - 1);
        const size_t first = text.size() - answer_tokens;
        session_->acquire(std::make_shared<Cancellation>());
        session_->keep_common_prefix({}, false);
        for (size_t done = 0; done < first; done += life_batch) expect(session_->compute(std::span(text).subspan(done, std::min<size_t>(life_batch, first - done)), 0), "a pass");
        expect(session_->compute(std::span(text).subspan(first), answer_tokens), "a pass");
        for (size_t i = 0; i < answer_tokens; ++i) {
            const float* const logits = session_->logits(i);
            known->second.insert(known->second.end(), logits, logits + short_vocabulary);
        }
        session_->release();
        return known->second;
    }

    bool is_mixture_;
    SmallModel small_;
    std::shared_ptr<Session> session_;
    std::map<Tokens, Logits> known_;
};

// A model that is larger than what it may have of a card, and a draft model that fits, or both without a card; and what is asked of them.
class Life {
  public:
    Life(const synthetic::Shape& shape, bool on_card) : file_(shape), reference_(file_.path(), shape.experts > 0) {
        if (on_card) exact_card();
        main_options_.plan.path = draft_options_.plan.path = file_.path();
        main_options_.plan.context_length = draft_options_.plan.context_length = life_context;
        main_options_.plan.threads = draft_options_.plan.threads = 1;
        main_options_.plan.use_gpu = draft_options_.plan.use_gpu = on_card;
        if (on_card) speeds_.emplace(main_options_, std::array{&exact_card()});
        engine_.emplace(library_directory(), !on_card, speeds_ ? speeds_->path() : "");
        if (on_card) limit();
    }

    Engine& engine() { return *engine_; }
    const LoadOptions& main_options() const { return main_options_; }
    const std::shared_ptr<Model>& model() const { return model_; }
    const std::shared_ptr<Session>& session() const { return session_; }

    void load() {
        model_ = engine_->load(main_options_);
        draft_ = engine_->load(draft_options_);
    }
    void open() {
        session_ = engine_->create_session(model_, {life_context, life_batch}, 1);
        drafting_ = engine_->create_session(draft_, {life_context, life_batch, model_}, 1);
    }
    void listen() {
        session_->edit_logits([this](size_t place, std::span<float> logits) {
            heard_.hear(place, logits);
            let_guesses_pay();
        });
        drafting_->edit_logits([this](size_t, std::span<float> logits) {
            std::fill_n(logits.begin(), special_tokens, -1e9f);
            let_guesses_pay();
        });
    }

    // An answer, from an empty cache; of what the compute thread asks for meanwhile some is refused. Throws what it ended with.
    GenerationResult answer(uint64_t granted = never, bool lasting = false) {
        session_->acquire(std::make_shared<Cancellation>());
        session_->keep_common_prefix({}, false);
        session_->release();
        model_->speculation().recent.forget();
        let_guesses_pay();
        GenerationRequest request = generate_request(life_prompt(), answer_tokens);
        request.decode->draft = drafting_;
        std::promise<Generation::Outcome> outcome;
        const Generation::OnDone done = [&](Generation::Outcome ended) {
            requests_ = grant_new();
            outcome.set_value(std::move(ended));
        };
        on_compute([&] { refuse_new(granted, lasting); });
        engine_->submit(session_, std::move(request), nullptr, done);
        return value_of<GenerationResult>(outcome);
    }
    void check_answer(Location at = Location::here()) { reference_.check(answer().tokens, heard_.logits(), at); }
    void check(const GenerationResult& result, Location at = Location::here()) { reference_.check(result.tokens, heard_.logits(), at); }

    SnapshotPtr copy_cache(const SnapshotPtr& to_restore, uint64_t granted = never, bool lasting = false) {
        std::promise<SnapshotJob::Outcome> outcome;
        const SnapshotJob::OnDone done = [&](SnapshotJob::Outcome ended) {
            requests_ = grant_new();
            outcome.set_value(std::move(ended));
        };
        on_compute([&] { refuse_new(granted, lasting); });
        engine_->copy_cache(session_, to_restore, Priority::Chat, done);
        return value_of<SnapshotPtr>(outcome);
    }

    // Gives the memory of both models back.
    void close() {
        session_ = drafting_ = spare_ = nullptr;
        for (std::shared_ptr<Model>* const model : {&model_, &draft_}) {
            if (*model) (*model)->close();
            model->reset();
        }
    }

    // Requests of the compute thread for what it did last.
    uint64_t requests() const { return requests_; }

  private:
    // To so much of the card that some of each network is uploaded, if there is such a limit.
    void limit() {
        constexpr uint32_t widest_pass = 512;  // that the engine plans for
        const ModelProfile profile = read_model_profile(file_.path());
        uint64_t& bytes = main_options_.plan.vram_limit;
        const uint64_t layers = profile.weight_bytes() - profile.output_bytes - profile.embedding_bytes + profile.kv_bytes(life_context);
        bytes = profile.output_bytes + compute_buffer_bytes(profile, life_context, widest_pass) + share_result_bytes(profile, widest_pass) + layers;
        const auto uploads = [&] {
            const Placement placement = engine_->forecast(main_options_.plan);
            return placement.units && placement.cards.at(0).slots > 0;
        };
        while (!uploads()) {
            expect(bytes > layers / 16, "a limit with which some weights are uploaded");
            bytes -= layers / 16;
        }
    }

    template <typename Value, typename Outcome> static Value value_of(std::promise<Outcome>& outcome) {
        Outcome ended = outcome.get_future().get();
        if (const auto* const failure = std::get_if<std::exception_ptr>(&ended)) std::rethrow_exception(*failure);
        return std::get<Value>(std::move(ended));
    }

    void let_guesses_pay() {
        const OwnMemory own;
        model_->speculation().costs = same_costs(1);
        draft_->speculation().costs = same_costs(0.1);
    }

    // Has the compute thread do something, behind a pass of another session.
    void on_compute(const std::function<void()>& task) {
        if (!spare_) spare_ = engine_->create_session(draft_, {life_context, life_batch}, 1);
        std::promise<void> done;
        engine_->submit(spare_, prefill_request({special_tokens}), nullptr, [&](const Generation::Outcome&) {
            task();
            const OwnMemory own;
            done.set_value();
        });
        done.get_future().get();
    }

    ShortModel file_;
    Reference reference_;
    LoadOptions main_options_;
    LoadOptions draft_options_;
    std::optional<FastCards> speeds_;
    std::optional<Engine> engine_;
    std::shared_ptr<Model> model_;
    std::shared_ptr<Model> draft_;
    std::shared_ptr<Session> session_;
    std::shared_ptr<Session> drafting_;
    std::shared_ptr<Session> spare_;
    Heard heard_;
    uint64_t requests_ = 0;
};

}  // namespace nmos::testing

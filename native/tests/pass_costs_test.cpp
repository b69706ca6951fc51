#include <cmath>
#include <utility>

#include "check.h"
#include "observed_costs.h"
#include "speculative/pass_costs.h"

using namespace nmos;
using namespace nmos::testing;

TEST(pass_costs, "knows the cost of passes it has not seen from those it has") {
    PassCosts costs;
    expect_equal(costs.relative(1), 1.0);
    expect(costs.relative(4) > 1, "a guess");
    observe(costs, 1, 2.0);
    observe(costs, 5, 4.0);
    expect_equal(costs.relative(1), 1.0);
    expect_equal(costs.relative(3), 1.5);
    expect_equal(costs.relative(5), 2.0);
    expect_equal(costs.relative(9), 3.0);
    for (int i = 0; i < 100; ++i) costs.observe(5, 2.0);
    expect(std::abs(costs.relative(5) - 1) < 1e-6, "old passes to be forgotten");
    // However steep it is up to the widest one that was seen, half a pass for every further token.
    PassCosts steep;
    observe(steep, 1, 1.0);
    observe(steep, 5, 5.0);
    expect_equal(steep.relative(4), 4.0);
    expect_equal(steep.relative(5), 5.0);
    expect_equal(steep.relative(9), 7.0);
    // Unless prompts tell that wide passes are no cheaper.
    steep.observe_prefill(100, 75);
    expect_equal(steep.relative(9), 8.0);
    steep.observe_prefill(100, 100'000);
    expect_equal(steep.relative(9), 9.0);
}

TEST(pass_costs, "corrects what was predicted of passes by what they take") {
    PassCosts costs;
    expect_equal(costs.seconds(), 0.0);
    expect_equal(costs.relative(3), 2.0);
    for (const auto& [width, seconds] : {std::pair(1u, 2.0), std::pair(4u, 6.0), std::pair(16u, 6.0)}) costs.predict(width, seconds);
    expect_equal(costs.seconds(), 2.0);
    expect(std::abs(costs.relative(2) - 5.0 / 3.0) < 1e-9, "a third of the way from one to four tokens");
    expect_equal(costs.relative(8), 3.0);
    expect(!costs.known(), "what is only predicted not to be known");
    // All of them take half as long again: relative to each other they stay.
    for (int i = 0; i < 2; ++i) costs.observe(1, 3.0);
    expect(costs.known(), "what was timed twice to be known");
    expect_equal(costs.seconds(), 3.0);
    for (int i = 0; i < 2; ++i) costs.observe(4, 9.0);
    expect_equal(costs.relative(4), 3.0);
    expect_equal(costs.relative(16), 3.0);
    // Wide ones take less than that, and so probably those between.
    for (int i = 0; i < 2; ++i) costs.observe(16, 4.5);
    expect_equal(costs.relative(16), 1.5);
    expect(costs.relative(10) > 1.5 && costs.relative(10) < 3, "a cost between");
    // Not cheaper than one token.
    for (int i = 0; i < 99; ++i) costs.observe(16, 1.0);
    expect_equal(costs.relative(16), 1.0);
}

TEST(pass_costs, "takes the quicker of the first two passes of a width, and an average from there") {
    PassCosts costs;
    costs.observe(1, 9);
    costs.observe(1, 1);
    expect_equal(costs.seconds(), 1.0);
    costs.observe(1, 2);
    expect(costs.seconds() > 1 && costs.seconds() < 2, "an average");
    PassCosts prompts;
    for (int i = 0; i < 2; ++i) prompts.observe(1, 0.1);
    expect(prompts.prefill_seconds(100) > 5, "a guess that is rather too much");
    prompts.observe_prefill(200, 1);
    expect_equal(prompts.prefill_seconds(100), 0.5);
}

TEST(pass_costs, "is not misled for good by a pass that something held up") {
    PassCosts first;
    observe(first, 1, 1);
    const double guess = first.relative(8);
    // The first one of a width also builds what later ones need.
    first.observe(8, 20);
    expect_equal(first.relative(8), guess);
    first.observe(8, 2);
    expect_equal(first.relative(8), 2.0);
    for (const double held_up : {100.0, 100'000.0}) {
        PassCosts costs;
        for (const uint32_t width : {1u, 8u}) observe(costs, width, width == 1 ? 1 : 2);
        costs.observe(8, held_up);
        expect(costs.relative(8) < 3, "hardly dearer passes, got " + show(costs.relative(8)));
        for (int i = 0; i < 20; ++i) costs.observe(8, held_up);
        expect(costs.relative(8) > 50, "dearer ones where they stay so, got " + show(costs.relative(8)));
    }
}

TEST(pass_costs, "tries a width again that looked dear long ago, and believes what it sees then") {
    const auto single_passes = [](PassCosts& costs, int count) {
        for (int i = 0; i < count; ++i) costs.observe(1, 1);
    };
    for (const bool predicted : {false, true}) {
        PassCosts costs;
        observe(costs, 1, 1);
        if (predicted) {
            for (const uint32_t width : {1u, 16u}) costs.predict(width, width == 1 ? 0.5 : 1);
        }
        const double expected = costs.relative(8);
        observe(costs, 8, 40);
        expect_equal(costs.relative(8), 40.0);
        single_passes(costs, 60);
        expect_equal(costs.relative(8), 40.0);
        single_passes(costs, 600);
        expect(std::abs(costs.relative(8) - expected) < 1e-9, "to expect " + show(expected) + " again, got " + show(costs.relative(8)));
        PassCosts cheaper = costs;
        cheaper.observe(8, 2);
        expect_equal(cheaper.relative(8), 2.0);
        costs.observe(8, 40);
        expect_equal(costs.relative(8), 40.0);
        // What one pass of a single token takes is seen all the time, or predicted.
        for (int i = 0; i < 600; ++i) costs.observe(8, 40);
        expect_equal(costs.relative(8), 40.0);
    }
}

TEST(pass_costs, "knows what choosing a drafted token takes, and forgets it while none is drafted") {
    PassCosts costs = costs_of(0.1);
    expect_equal(costs.choice_seconds(), 0.0);
    costs.observe_choice(9);
    expect_equal(costs.choice_seconds(), 0.0);
    // The first one also makes room for what later ones use.
    costs.observe_choice(0.25);
    expect_equal(costs.choice_seconds(), 0.25);
    costs.observe_choice(100'000);
    expect(costs.choice_seconds() < 0.5, "hardly more where something held one up, got " + show(costs.choice_seconds()));
    for (int i = 0; i < 60; ++i) costs.observe(1, 1);
    expect(costs.choice_seconds() > 0.25, "to be known still");
    for (int i = 0; i < 600; ++i) costs.observe(1, 1);
    expect_equal(costs.choice_seconds(), 0.0);
    costs.observe_choice(0.5);
    expect_equal(costs.choice_seconds(), 0.5);
}

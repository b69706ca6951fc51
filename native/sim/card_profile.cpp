#include "card_profile.h"

#include <algorithm>

namespace nmos::sim {

namespace {

constexpr uint64_t mib = 1ull << 20;
constexpr double giga = 1e9;
constexpr double tera = 1e12;
constexpr double micro = 1e-6;

}  // namespace

std::vector<CardProfile> card_profiles() {
    return {
        {"gtx1650-4gb", 3380 * mib, 100 * giga, 12.5 * giga, 5 * giga, 3 * tera, 3 * micro, 8 * micro},
        {"rtx3050-laptop-4gb", 3380 * mib, 170 * giga, 12.5 * giga, 5 * giga, 9 * tera, 3 * micro, 8 * micro},
        {"rtx4060-laptop-8gb", 7300 * mib, 235 * giga, 13 * giga, 6 * giga, 20 * tera, 2.5 * micro, 7 * micro},
    };
}

std::optional<CardProfile> find_card_profile(std::string_view name) {
    const std::vector<CardProfile> all = card_profiles();
    const auto found = std::ranges::find(all, name, &CardProfile::name);
    return found == all.end() ? std::nullopt : std::optional(*found);
}

}  // namespace nmos::sim

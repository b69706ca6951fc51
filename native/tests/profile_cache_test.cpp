#include "runtime/profile_cache.h"

#include <filesystem>
#include <fstream>

#include "check.h"
#include "gguf_file.h"
#include "random_device.h"

using namespace nmos;
using namespace nmos::testing;

namespace fs = std::filesystem;

namespace {

DeviceProfile some_profile(unsigned seed = 1) {
    std::mt19937_64 random(seed);
    return random_device(random);
}

void check_refused(const std::string& text, Location at = Location::here()) {
    expect(!profile_from_text(text), "no profile from " + show(text), at);
}

}  // namespace

TEST(profile_cache, "gives back what was kept, to the last bit") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    expect(!cache.find("Card0", "machine"), "nothing yet");
    for (unsigned seed = 0; seed < 20; ++seed) {
        cache.keep("Card0", "machine", some_profile(seed));
        const auto found = cache.find("Card0", "machine");
        expect(found.has_value(), "what was kept");
        expect_equal(to_text(*found), to_text(some_profile(seed)));
        expect_equal(found->card.at(100), some_profile(seed).card.at(100));
    }
    expect(folder.only_file().extension() == ".profile", "nothing else left behind");
}

TEST(profile_cache, "gives nothing back for another machine or device, or when it is too old") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    cache.keep("Card0", "machine", some_profile());
    expect(!cache.find("Card0", "machine with a new card"), "nothing of another machine");
    expect(!cache.find("Card1", "machine"), "nothing of another device");
    fs::last_write_time(folder.only_file(), fs::file_time_type::clock::now() - std::chrono::hours(24 * 15));
    expect(!cache.find("Card0", "machine"), "nothing of long ago");
}

TEST(profile_cache, "counts a damaged file as none") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    cache.keep("Card0", "machine", some_profile());
    const fs::path file = folder.only_file();
    const auto size = fs::file_size(file);
    for (uintmax_t length = 0; length + 1 < size; length += 7) {
        cache.keep("Card0", "machine", some_profile());
        fs::resize_file(file, length);
        expect(!cache.find("Card0", "machine"), "nothing of the first " + show(length) + " bytes");
    }
}

TEST(profile_cache, "refuses what no machine can be like") {
    const std::string text = to_text(some_profile());
    expect(profile_from_text(text).has_value(), "a profile");
    const auto with = [&](const std::string& line, const std::string& instead) {
        std::string changed = text;
        const size_t begin = ("\n" + changed).find("\n" + line);
        changed.replace(begin, changed.find('\n', begin) - begin, instead);
        return changed;
    };
    check_refused("");
    check_refused(with("upload_bytes", "upload_bytes_per_second 0"));
    check_refused(with("upload_bytes", "upload_bytes_per_second nan"));
    check_refused(with("staged", "staged_bytes_per_second 0"));
    check_refused(with("exchange", "exchange_seconds -1"));
    check_refused(with("card", "card 0"));
    check_refused(with("card", "card 1000000000 1 1e-9"));
    check_refused(with("card", "card 2 4 1e-9 1 2e-9"));
    check_refused(with("card", "card 1 1 0"));
    check_refused(with("processor", "other 1 1 1e-9"));
    check_refused(with("end", "more"));
}

TEST(profile_cache, "remembers nothing without a folder, and goes on when one cannot be made") {
    const ProfileCache none("");
    none.keep("Card0", "machine", some_profile());
    expect(!none.find("Card0", "machine"), "nothing");
    const TemporaryFile file;
    std::ofstream(file.path()) << "a file";
    const ProfileCache blocked(file.path() + "/folder");
    blocked.keep("Card0", "machine", some_profile());
    expect(!blocked.find("Card0", "machine"), "nothing");
}

#include "runtime/profile_cache.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include "check.h"
#include "gguf_file.h"
#include "random_device.h"

using namespace nmos;
using namespace nmos::testing;

namespace fs = std::filesystem;

namespace {

MeasuredDevice some_device(unsigned seed = 1) {
    std::mt19937_64 random(seed);
    return random_measured(random, {"q4_K", "q6_K"});
}

void check_refused(const std::string& text, Location at = Location::here()) {
    expect(!measured_from_text(text), "nothing measured from " + show(text), at);
}

}  // namespace

TEST(profile_cache, "gives back what was kept, to the last bit") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    expect(!cache.find("Card0", "machine"), "nothing yet");
    for (unsigned seed = 0; seed < 20; ++seed) {
        cache.keep("Card0", "machine", some_device(seed));
        const auto found = cache.find("Card0", "machine");
        expect(found.has_value(), "what was kept");
        expect_equal(to_text(*found), to_text(some_device(seed)));
        expect_equal(found->types.at("q6_K").card.at(100), some_device(seed).types.at("q6_K").card.at(100));
    }
    expect(folder.only_file().extension() == ".profile", "nothing else left behind");
}

TEST(profile_cache, "gives nothing back for another machine or device, or when it is too old") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    cache.keep("Card0", "machine", some_device());
    expect(!cache.find("Card0", "machine with a new card"), "nothing of another machine");
    expect(!cache.find("Card1", "machine"), "nothing of another device");
    fs::last_write_time(folder.only_file(), fs::file_time_type::clock::now() - std::chrono::hours(24 * 15));
    expect(!cache.find("Card0", "machine"), "nothing of long ago");
}

TEST(profile_cache, "keeps the types that were measured later with those before, which get no younger by that") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    MeasuredDevice measured = some_device();
    cache.keep("Card0", "machine", measured);
    const auto written = fs::file_time_type::clock::now() - std::chrono::hours(24 * 10);
    fs::last_write_time(folder.only_file(), written);
    measured.types["q8_0"] = measured.types["q6_K"];
    cache.keep("Card0", "machine", measured);
    expect_equal(to_text(cache.find("Card0", "machine").value()), to_text(measured));
    expect(fs::last_write_time(folder.only_file()) - written < std::chrono::minutes(1), "the time of the first measurement");
    cache.keep("Card0", "another machine", measured);
    expect(fs::last_write_time(folder.only_file()) - written > std::chrono::hours(24), "a time of its own for another machine");
}

TEST(profile_cache, "reads no file of an earlier format") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    cache.keep("Card0", "machine", some_device());
    const fs::path file = folder.only_file();
    const std::string text = read_beginning(file.string(), fs::file_size(file));
    const std::string first = text.substr(0, text.find('\n'));
    expect_equal(first, std::string("nmos device profile 4"));
    std::ofstream(file, std::ios::binary) << "nmos device profile 3" << text.substr(first.size());
    expect(!cache.find("Card0", "machine"), "nothing of an earlier format");
}

TEST(profile_cache, "counts a damaged file as none") {
    const TemporaryFolder folder;
    const ProfileCache cache(folder.path());
    cache.keep("Card0", "machine", some_device());
    const fs::path file = folder.only_file();
    const auto size = fs::file_size(file);
    for (uintmax_t length = 0; length + 1 < size; length += 7) {
        cache.keep("Card0", "machine", some_device());
        fs::resize_file(file, length);
        expect(!cache.find("Card0", "machine"), "nothing of the first " + show(length) + " bytes");
    }
}

TEST(profile_cache, "refuses what no machine can be like") {
    const std::string text = to_text(some_device());
    expect(measured_from_text(text).has_value(), "what was measured");
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
    check_refused(with("types", "types 0"));
    check_refused(with("types", "types 1"));
    check_refused(with("types", "types 3"));
    check_refused(with("types", "types 1000000000"));
    check_refused(with("type ", "type q6_K 1"));
    check_refused(with("type ", "type q4_K 2"));
    check_refused(with("type ", "type q4_K"));
    check_refused(with("card", "card 0"));
    check_refused(with("card", "card 1000000000 1 1e-9"));
    check_refused(with("card", "card 2 4 1e-9 1 2e-9"));
    check_refused(with("card", "card 1 1 0"));
    check_refused(with("processor", "other 1 1 1e-9"));
    check_refused(with("end", "more"));
}

TEST(profile_cache, "remembers nothing without a folder, and goes on when one cannot be made") {
    const ProfileCache none("");
    none.keep("Card0", "machine", some_device());
    expect(!none.find("Card0", "machine"), "nothing");
    const TemporaryFile file;
    std::ofstream(file.path()) << "a file";
    const ProfileCache blocked(file.path() + "/folder");
    blocked.keep("Card0", "machine", some_device());
    expect(!blocked.find("Card0", "machine"), "nothing");
}

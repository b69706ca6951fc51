#include "runtime/profile_cache.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <limits>
#include <sstream>

#include "platform/os.h"
#include "runtime/log.h"

namespace nmos {

namespace fs = std::filesystem;

namespace {

// The format's version; another one is not read.
constexpr const char* first_line = "nmos device profile 3";

constexpr auto longest_age = std::chrono::hours(24 * 14);

constexpr size_t most_points = 64;

fs::path path_of(const std::string& directory, const std::string& device) {
    std::string name;
    for (const char letter : device) name += std::isalnum(static_cast<unsigned char>(letter)) ? letter : '_';
    return fs::path(std::u8string(directory.begin(), directory.end())) / (name + ".profile");
}

void write_curve(std::ostream& out, const char* name, const WidthCurve& curve) {
    out << name << ' ' << curve.points().size();
    for (const WidthCurve::Point& point : curve.points()) out << ' ' << point.width << ' ' << point.seconds_per_byte;
    out << '\n';
}

bool read_number(std::istream& in, const char* name, double least, double& number) {
    std::string word;
    return in >> word >> number && word == name && std::isfinite(number) && number >= least;
}

bool read_curve(std::istream& in, const char* name, WidthCurve& curve) {
    std::string word;
    size_t count = 0;
    if (!(in >> word >> count) || word != name || count == 0 || count > most_points) return false;
    std::vector<WidthCurve::Point> points(count);
    uint32_t before = 0;
    for (WidthCurve::Point& point : points) {
        if (!(in >> point.width >> point.seconds_per_byte)) return false;
        if (point.width <= before || !std::isfinite(point.seconds_per_byte) || point.seconds_per_byte <= 0) return false;
        before = point.width;
    }
    curve = WidthCurve(std::move(points));
    return true;
}

}  // namespace

std::string to_text(const DeviceProfile& profile) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << std::setprecision(std::numeric_limits<double>::max_digits10);
    out << "upload_bytes_per_second " << profile.upload_bytes_per_second << "\nupload_seconds " << profile.upload_seconds;
    out << "\nstaged_bytes_per_second " << profile.staged_bytes_per_second << "\nupload_share_of_card " << profile.upload_share_of_card;
    out << "\nexchange_seconds " << profile.exchange_seconds << "\nlaunch_seconds " << profile.launch_seconds << '\n';
    write_curve(out, "card", profile.card);
    write_curve(out, "processor", profile.processor);
    out << "end\n";
    return out.str();
}

std::optional<DeviceProfile> profile_from_text(const std::string& text) {
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    DeviceProfile profile;
    std::string end;
    const bool whole = read_number(in, "upload_bytes_per_second", 1, profile.upload_bytes_per_second) &&
                       read_number(in, "upload_seconds", 0, profile.upload_seconds) &&
                       read_number(in, "staged_bytes_per_second", 1, profile.staged_bytes_per_second) &&
                       read_number(in, "upload_share_of_card", 0, profile.upload_share_of_card) && read_number(in, "exchange_seconds", 0, profile.exchange_seconds) &&
                       read_number(in, "launch_seconds", 0, profile.launch_seconds) && read_curve(in, "card", profile.card) &&
                       read_curve(in, "processor", profile.processor) && in >> end && end == "end";
    return whole ? std::optional(profile) : std::nullopt;
}

std::optional<DeviceProfile> ProfileCache::find(const std::string& device, const std::string& machine) const {
    if (directory_.empty()) return std::nullopt;
    const fs::path path = path_of(directory_, device);
    std::error_code failure;
    const auto written = fs::last_write_time(path, failure);
    if (failure || fs::file_time_type::clock::now() - written > longest_age) return std::nullopt;
    std::ifstream file(path, std::ios::binary);
    std::string line;
    if (!std::getline(file, line) || line != first_line || !std::getline(file, line) || line != machine) return std::nullopt;
    std::ostringstream rest;
    rest << file.rdbuf();
    return profile_from_text(rest.str());
}

void ProfileCache::keep(const std::string& device, const std::string& machine, const DeviceProfile& profile) const {
    if (directory_.empty()) return;
    const fs::path path = path_of(directory_, device);
    std::error_code failure;
    fs::create_directories(path.parent_path(), failure);
    // Read by nobody before it is whole.
    fs::path unfinished = path;
    unfinished += "." + std::to_string(os::process_id());
    {
        std::ofstream file(unfinished, std::ios::binary);
        file << first_line << '\n' << machine << '\n' << to_text(profile);
        if (!file.flush()) failure = std::make_error_code(std::errc::io_error);
    }
    if (!failure) fs::rename(unfinished, path, failure);
    if (!failure) return;
    log(LogLevel::Warn, "The measurement of " + device + " cannot be kept in " + directory_ + ": " + failure.message());
    fs::remove(unfinished, failure);
}

}  // namespace nmos

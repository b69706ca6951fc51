#include "runtime/profile_cache.h"

#include <cctype>
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
constexpr const char* first_line = "nmos device profile 4";

constexpr auto longest_age = std::chrono::hours(24 * 14);

constexpr size_t most_points = 64;
constexpr size_t most_types = 64;

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

bool read_type(std::istream& in, std::map<std::string, TypeSpeed>& types) {
    std::string word;
    std::string type;
    TypeSpeed speed;
    if (!(in >> word >> type >> speed.fine) || word != "type" || !read_curve(in, "card", speed.card) || !read_curve(in, "processor", speed.processor)) return false;
    return types.emplace(type, std::move(speed)).second;
}

// Of what is not too old; none where there is nothing.
std::optional<fs::file_time_type> time_of(const fs::path& path) {
    std::error_code failure;
    const auto written = fs::last_write_time(path, failure);
    return failure || fs::file_time_type::clock::now() - written > longest_age ? std::nullopt : std::optional(written);
}

}  // namespace

std::string to_text(const MeasuredDevice& measured) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << std::setprecision(std::numeric_limits<double>::max_digits10);
    const DeviceProfile& bus = measured.bus;
    out << "upload_bytes_per_second " << bus.upload_bytes_per_second << "\nupload_seconds " << bus.upload_seconds;
    out << "\nstaged_bytes_per_second " << bus.staged_bytes_per_second << "\nupload_share_of_card " << bus.upload_share_of_card;
    out << "\nexchange_seconds " << bus.exchange_seconds << "\nlaunch_seconds " << bus.launch_seconds << '\n';
    out << "types " << measured.types.size() << '\n';
    for (const auto& [type, speed] : measured.types) {
        out << "type " << type << ' ' << speed.fine << '\n';
        write_curve(out, "card", speed.card);
        write_curve(out, "processor", speed.processor);
    }
    out << "end\n";
    return out.str();
}

std::optional<MeasuredDevice> measured_from_text(const std::string& text) {
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    MeasuredDevice measured;
    DeviceProfile& bus = measured.bus;
    std::string word;
    size_t types = 0;
    bool whole = read_number(in, "upload_bytes_per_second", 1, bus.upload_bytes_per_second) && read_number(in, "upload_seconds", 0, bus.upload_seconds) &&
                 read_number(in, "staged_bytes_per_second", 1, bus.staged_bytes_per_second) &&
                 read_number(in, "upload_share_of_card", 0, bus.upload_share_of_card) && read_number(in, "exchange_seconds", 0, bus.exchange_seconds) &&
                 read_number(in, "launch_seconds", 0, bus.launch_seconds) && in >> word >> types && word == "types" && types > 0 && types <= most_types;
    for (; whole && types > 0; --types) whole = read_type(in, measured.types);
    whole = whole && in >> word && word == "end";
    return whole ? std::optional(measured) : std::nullopt;
}

std::optional<MeasuredDevice> ProfileCache::find(const std::string& device, const std::string& machine) const {
    if (directory_.empty()) return std::nullopt;
    const fs::path path = path_of(directory_, device);
    if (!time_of(path)) return std::nullopt;
    std::ifstream file(path, std::ios::binary);
    std::string line;
    if (!std::getline(file, line) || line != first_line || !std::getline(file, line) || line != machine) return std::nullopt;
    std::ostringstream rest;
    rest << file.rdbuf();
    return measured_from_text(rest.str());
}

void ProfileCache::keep(const std::string& device, const std::string& machine, const MeasuredDevice& measured) const {
    if (directory_.empty()) return;
    const fs::path path = path_of(directory_, device);
    const auto since = find(device, machine) ? time_of(path) : std::nullopt;
    std::error_code failure;
    fs::create_directories(path.parent_path(), failure);
    // Read by nobody before it is whole.
    fs::path unfinished = path;
    unfinished += "." + std::to_string(os::process_id());
    {
        std::ofstream file(unfinished, std::ios::binary);
        file << first_line << '\n' << machine << '\n' << to_text(measured);
        if (!file.flush()) failure = std::make_error_code(std::errc::io_error);
    }
    if (!failure && since) fs::last_write_time(unfinished, *since, failure);
    if (!failure) fs::rename(unfinished, path, failure);
    if (!failure) return;
    log(LogLevel::Warn, "The measurement of " + device + " cannot be kept in " + directory_ + ": " + failure.message());
    fs::remove(unfinished, failure);
}

}  // namespace nmos

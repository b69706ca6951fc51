// Cards and processors as they may be, for property tests.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>

#include "plan/measured_device.h"

namespace nmos::testing {

inline double between(std::mt19937_64& random, double least, double most) {
    return least + (most - least) * static_cast<double>(random() % 1'000'001) / 1e6;
}

// As fast as a small card beside a usual processor.
inline DeviceProfile usual_device() {
    DeviceProfile device;
    device.card = WidthCurve({{1, 0.01e-9}, {512, 0.3e-9}});
    device.processor = WidthCurve({{1, 0.04e-9}, {512, 15e-9}});
    device.upload_bytes_per_second = 12e9;
    device.staged_bytes_per_second = 5e9;
    device.exchange_seconds = 30e-6;
    device.launch_seconds = 3e-6;
    return device;
}

inline DeviceProfile random_device(std::mt19937_64& random) {
    DeviceProfile device;
    const double card = between(random, 0.001e-9, 0.05e-9);
    const double processor = between(random, 0.02e-9, 0.3e-9);
    device.card = WidthCurve({{1, card}, {64, card * between(random, 1, 4)}, {512, card * between(random, 4, 40)}});
    device.processor = WidthCurve({{1, processor}, {4, processor * between(random, 1, 4)}, {64, processor * between(random, 4, 60)}});
    device.upload_bytes_per_second = between(random, 2e9, 26e9);
    device.staged_bytes_per_second = device.upload_bytes_per_second * between(random, 0.3, 1);
    device.upload_share_of_card = random() % 3 == 0 ? between(random, 0, 1) : 0;
    device.upload_seconds = between(random, 0, 20e-6);
    device.exchange_seconds = between(random, 0, 100e-6);
    device.launch_seconds = between(random, 0, 10e-6);
    // Most cards.
    if (device.launch_seconds > 3e-6) device.offload_from_width = 32;
    return device;
}

// With the first of these types at many widths, and the others at fewer.
inline MeasuredDevice random_measured(std::mt19937_64& random, std::initializer_list<const char*> types) {
    MeasuredDevice measured;
    measured.bus = random_device(random);
    measured.bus.card = measured.bus.processor = WidthCurve();
    for (const char* const type : types) {
        const DeviceProfile device = random_device(random);
        measured.types[type] = {device.card, device.processor, type == *types.begin()};
    }
    return measured;
}

}  // namespace nmos::testing

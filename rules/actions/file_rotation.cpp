#include "rules/actions/file_rotation.h"

#include "rules/actions/append_file.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <vector>
#include <zstd.h>

namespace iotcore::rules::actions {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCompressed = ".zst";
constexpr std::string_view kPart = ".part";
constexpr int kLevel = 3;
constexpr std::size_t kTimeBytes = std::string_view("20260102T030405.678Z").size();

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

bool is_time(std::string_view text) {
  if (text.size() < kTimeBytes) {
    return false;
  }
  for (std::size_t i = 0; i < kTimeBytes; ++i) {
    const char c = text[i];
    const bool fits = i == 8    ? c == 'T'
                      : i == 15 ? c == '.'
                      : i == 19 ? c == 'Z'
                                : c >= '0' && c <= '9';
    if (!fits) {
      return false;
    }
  }
  return true;
}

// Those that rotations of `path` have made, the oldest first.
std::vector<fs::path> rotated_files(const fs::path& path) {
  std::vector<fs::path> found;
  const std::string start = path.stem().string() + "-";
  const std::string extension = path.extension().string();
  std::error_code error;
  for (fs::directory_iterator each(path.parent_path(), error), end; !error && each != end;
       each.increment(error)) {
    std::string name = each->path().filename().string();
    if (!name.starts_with(start) || !is_time(std::string_view(name).substr(start.size()))) {
      continue;
    }
    if (name.ends_with(kPart)) {
      std::error_code ignored;
      fs::remove(each->path(), ignored);
      continue;
    }
    std::string_view bare = name;
    bare.remove_suffix(bare.ends_with(kCompressed) ? kCompressed.size() : 0);
    if (bare.ends_with(extension)) {
      found.push_back(each->path());
    }
  }
  std::ranges::sort(found);
  return found;
}

std::string io_message(const fs::path& path, std::string_view what) {
  return fmt::format("{} {}", what, path.string());
}

Status write_compressed(std::ifstream& from, AppendFile& to) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::vector<char> in(1U << 20);
  std::string out(ZSTD_CStreamOutSize() * 8, '\0');
  for (bool last = false; !last;) {
    from.read(in.data(), static_cast<std::streamsize>(in.size()));
    last = !from;
    ZSTD_inBuffer input = {in.data(), static_cast<std::size_t>(from.gcount()), 0};
    for (bool done = false; !done;) {
      ZSTD_outBuffer output = {out.data(), out.size(), 0};
      const std::size_t left =
          ZSTD_compressStream2(context.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0) {
        return fail(Errc::kStoreIo, ZSTD_getErrorName(left));
      }
      IOTCORE_TRY(to.append(std::string_view(out).substr(0, output.pos)));
      done = last ? left == 0 : input.pos == input.size;
    }
  }
  return {};
}

}  // namespace

bool FileRotation::is_due(std::uint64_t size, WallTime written, WallTime now) const {
  if (size == 0) {
    return false;
  }
  const auto period = static_cast<std::int64_t>(seconds);
  return (bytes != 0 && size >= bytes) ||
         (period != 0 && to_epoch_s(written) / period < to_epoch_s(now) / period);
}

fs::path rotated_name(const fs::path& path, WallTime now) {
  const std::int64_t now_ms = to_epoch_ms(now);
  const std::string time = fmt::format(
      "{:%Y%m%dT%H%M%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(now_ms / 1000)), now_ms % 1000
  );
  fs::path to;
  const auto is_taken = [&to] {
    return fs::exists(to) || fs::exists(to.string() + std::string(kCompressed));
  };
  for (int attempt = 0; attempt == 0 || is_taken(); ++attempt) {
    const std::string number = attempt == 0 ? "" : fmt::format("-{}", attempt);
    to = path.parent_path() /
         fmt::format("{}-{}{}{}", path.stem().string(), time, number, path.extension().string());
  }
  return to;
}

Status compress_file(const fs::path& path) {
  const fs::path done = path.string() + std::string(kCompressed);
  const fs::path part = done.string() + std::string(kPart);
  std::ifstream from(path, std::ios::binary);
  std::error_code ignored;
  fs::remove(part, ignored);
  AppendFile to(part);
  IOTCORE_TRY(to.ensure_open(false));
  if (!from) {
    return fail(Errc::kStoreIo, io_message(path, "cannot read"));
  }
  IOTCORE_TRY(write_compressed(from, to));
  if (from.bad()) {
    return fail(Errc::kStoreIo, io_message(path, "cannot read"));
  }
  IOTCORE_TRY(to.move_to(done));
  std::error_code error;
  fs::remove(path, error);
  return error ? fail(Errc::kStoreIo, io_message(path, "cannot delete")) : Status();
}

Status tidy_rotated(const fs::path& path, const FileRotation& rotation) {
  const std::vector<fs::path> files = rotated_files(path);
  const std::size_t keep =
      rotation.keep == 0 ? files.size() : static_cast<std::size_t>(rotation.keep);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i + keep < files.size()) {
      std::error_code error;
      fs::remove(files[i], error);
      if (error) {
        return fail(Errc::kStoreIo, io_message(files[i], "cannot delete"));
      }
    } else if (rotation.compress && files[i].extension() != kCompressed) {
      IOTCORE_TRY(compress_file(files[i]));
    }
  }
  return {};
}

}  // namespace iotcore::rules::actions

#include "transfer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include "arguments.h"
#include "copy.h"
#include "crew.h"
#include "environment.h"
#include "errors.h"
#include "pin-handle.h"

namespace {
// A native copy of the stretch of a Uint8Array that a transfer uses.
struct Shadow {
  uint64_t from = UINT64_MAX;
  uint64_t to = 0;
  std::vector<uint8_t> bytes;

  void widen(uint64_t offset, uint64_t length) {
    from = std::min(from, offset);
    to = std::max(to, offset + length);
  }
};

struct Job {
  std::vector<Piece> pieces;
  std::map<uint8_t*, Shadow> shadows;  // by where the array's bytes are
  size_t failed = 0;

  int run() {
    for (failed = 0; failed < pieces.size(); failed++) {
      if (int error = pieces[failed].copy()) return error;
    }
    return 0;
  }
};

Napi::Error pieceError(Napi::Env env, int error, size_t piece) {
  Napi::Error result = systemError(env, error, "transfer");
  result.Set("piece", Napi::Number::New(env, static_cast<double>(piece)));
  return result;
}

std::vector<Piece> piecesArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) throw Napi::TypeError::New(info.Env(), "pieces must be an array");
  auto array = info[0].As<Napi::Array>();
  std::vector<Piece> pieces;
  for (uint32_t index = 0; index < array.Length(); index++) {
    Napi::Value item = array[index];
    if (!item.IsObject()) throw Napi::TypeError::New(info.Env(), "a piece must be an object");
    auto object = item.As<Napi::Object>();
    auto number = [&](const char* name) {
      return static_cast<uint64_t>(integerValue(object.Get(name), name, 0, kMaxSafeInteger));
    };
    Piece piece{placeOf(object.Get("source"), "source"), number("sourceOffset"),
                placeOf(object.Get("target"), "target"), number("targetOffset"), number("length")};
    if (!piece.inBounds()) throw Napi::RangeError::New(info.Env(), "a piece is not inside its source and target");
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

// Takes the bytes of JavaScript out of a job whose thread may wake after their end.
void useShadows(Job& job) {
  auto eachLocal = [&](auto&& use) {
    for (Piece& piece : job.pieces) {
      if (!piece.source.pin) use(piece.source, piece.sourceOffset, piece.length);
      if (!piece.target.pin) use(piece.target, piece.targetOffset, piece.length);
    }
  };
  eachLocal([&](Place& place, uint64_t& offset, uint64_t length) { job.shadows[place.bytes].widen(offset, length); });
  for (auto& [bytes, shadow] : job.shadows) shadow.bytes.assign(bytes + shadow.from, bytes + shadow.to);
  eachLocal([&](Place& place, uint64_t& offset, uint64_t) {
    Shadow& shadow = job.shadows[place.bytes];
    offset -= shadow.from;
    place = {nullptr, shadow.bytes.data(), shadow.bytes.size()};
  });
}

// Where in JavaScript a piece of a job with shadows ends up.
struct WriteBack {
  size_t piece;
  uint64_t offset;
  std::shared_ptr<Napi::ObjectReference> target;
};

void writeBack(const Job& job, const std::vector<WriteBack>& list) {
  for (const WriteBack& item : list) {
    if (item.piece >= job.failed) continue;
    const Piece& piece = job.pieces[item.piece];
    Bytes target = bytesOf(item.target->Value(), "target");
    if (item.offset + piece.length > target.length) continue;  // detached meanwhile
    memcpy(target.data + item.offset, piece.target.bytes + piece.targetOffset, piece.length);
  }
}

Environment::Settle settleJob(std::shared_ptr<Job> job, std::shared_ptr<Napi::ObjectReference> keep,
                              std::vector<WriteBack> list) {
  return [job, keep, list = std::move(list)](Napi::Env env, Napi::Promise::Deferred& deferred, int error) {
    writeBack(*job, list);
    if (error) deferred.Reject(pieceError(env, error, job->failed).Value());
    else deferred.Resolve(env.Undefined());
  };
}

Napi::Value transfer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& environment = Environment::of(env);
  auto job = std::make_shared<Job>();
  job->pieces = piecesArgument(info);
  // A list of our own, so that the arrays stay whatever becomes of the caller's.
  auto list = Napi::Array::New(env);
  std::vector<WriteBack> targets;
  auto isForeign = [](const Piece& piece) { return !piece.local(); };
  auto foreign = std::find_if(job->pieces.begin(), job->pieces.end(), isForeign);
  bool sleeps = foreign != job->pieces.end();
  for (uint32_t index = 0; index < job->pieces.size(); index++) {
    const Piece& piece = job->pieces[index];
    auto object = info[0].As<Napi::Array>().Get(index).As<Napi::Object>();
    if (!piece.source.pin) list[list.Length()] = object.Get("source");
    if (piece.target.pin) continue;
    auto target = object.Get("target").As<Napi::Object>();
    list[list.Length()] = target;
    if (!sleeps) continue;
    targets.push_back({index, piece.targetOffset, std::make_shared<Napi::ObjectReference>(Napi::Persistent(target))});
  }
  auto keep = std::make_shared<Napi::ObjectReference>(Napi::Persistent(list.As<Napi::Object>()));

  int owner = 0;
  if (sleeps) {
    owner = (foreign->source.pin ? foreign->source : foreign->target).pin->process->pid;
    useShadows(*job);
  }
  Napi::Promise promise;
  uint64_t id = environment.openPromise(settleJob(job, keep, std::move(targets)), &promise);
  auto finish = [environment = &environment, mailbox = environment.mailbox(), id](int error) {
    mailbox->post([environment, id, error] { environment->settlePromise(id, error); });
  };
  if (sleeps) {
    memoryCrew().queue(owner, [job, finish]() mutable {
      int error = job->run();
      job.reset();
      finish(error);
    });
  } else {
    auto rundown = environment.rundown();
    copyCrew().queue(0, [job, finish, rundown]() mutable {
      if (!rundown->enter()) return;
      int error = job->run();
      job.reset();
      rundown->leave();
      finish(error);
    });
  }
  return promise;
}

Napi::Value transferNow(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::vector<Piece> pieces = piecesArgument(info);
  bool resident = true;
  for (size_t index = 0; index < pieces.size(); index++) {
    const Piece& piece = pieces[index];
    int error = piece.source.check(false);
    if (!error) error = piece.target.check(true);
    if (error) throw pieceError(env, error, index);
    resident = resident && piece.source.residency(piece.sourceOffset, piece.length, false) == Residency::Resident &&
               piece.target.residency(piece.targetOffset, piece.length, true) == Residency::Resident;
  }
  if (!resident) return Napi::Boolean::New(env, false);
  for (size_t index = 0; index < pieces.size(); index++) {
    if (int error = pieces[index].copyOnLoop()) throw pieceError(env, error, index);
  }
  return Napi::Boolean::New(env, true);
}
}  // namespace

void exportTransfer(Napi::Env env, Napi::Object exports) {
  exports.Set("transfer", Napi::Function::New(env, transfer, "transfer"));
  exports.Set("transferNow", Napi::Function::New(env, transferNow, "transferNow"));
}

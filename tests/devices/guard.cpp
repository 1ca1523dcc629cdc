// A device guard that does nothing, for CUDA in a build of torch without it (tests/devices/fake.py).
#include <c10/core/impl/FakeGuardImpl.h>
C10_REGISTER_GUARD_IMPL(CUDA, c10::impl::FakeGuardImpl<c10::DeviceType::CUDA>)

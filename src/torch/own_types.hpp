// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/impl/LocalDispatchKeySet.h>

namespace sp2dpo {

/// Turns autocast off in this thread while it lives. The library chooses the types of its products
/// itself: autocast would cast the float32 copies that stand for 16-bit factors down again.
class OwnTypes {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

}  // namespace sp2dpo

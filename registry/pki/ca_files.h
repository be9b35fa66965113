#pragma once

#include "base/clock.h"
#include "registry/pki/openssl.h"

#include <filesystem>
#include <string>

// The files of an installation's own CA: the root (ca.pem, ca.key), the intermediate CA that it has signed (intermediate.pem, intermediate.key), and the
// root's key as the root before signed it (ca.cross.pem). Keys are encrypted under the passphrase, if there is one. For the sources of this folder only.
namespace iotcore::registry::pki {

struct CaPair {
  X509Ptr certificate;
  KeyPtr key;
  std::string pem;  // the certificate's
};

struct CaPlace {
  std::filesystem::path folder;
  std::string passphrase;
};

// The root; if neither of its files is there, a new one is made and written. A rotation that was cut short is ended. kStoreCorrupt if the files do not
// belong together or the passphrase is another.
Result<CaPair> open_root(const CaPlace& place, const Clock& clock);

// The intermediate while it is the root's and lasts another year; else made anew and written.
Result<CaPair> open_intermediate(const CaPlace& place, const Clock& clock, const CaPair& root);
Result<CaPair> renew_intermediate(const CaPlace& place, const Clock& clock, const CaPair& root);

// A new root in the place of `old`, which signs its key: clients who know only the old one go on until it ends. ca.pem holds both, the new one first.
Result<CaPair> rotate_root(const CaPlace& place, const Clock& clock, const CaPair& old);

// ca.cross.pem if it is about this root, or nothing.
std::string cross_certificate(const CaPlace& place, const CaPair& root);

}  // namespace iotcore::registry::pki
